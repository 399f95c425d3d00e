-- How near each cell of some links' rows is to the task: the better of its products with the task's mean input and mean
-- output, which are what the row's part scores are made of. Texts without a vector have none.
SELECT
    link.link_id,
    dataset_column.name,
    greatest(
        -(embedding.vector <#> CAST(task_vector.input_mean AS halfvec)),
        -(embedding.vector <#> CAST(task_vector.output_mean AS halfvec))
    ) AS relevance
FROM retrieval_link AS link
INNER JOIN task_vector USING (task_version_id, encoder_id)
INNER JOIN cell ON cell.dataset_id = link.dataset_id AND cell.row_id = link.row_id
INNER JOIN dataset_column
    ON dataset_column.dataset_id = cell.dataset_id AND dataset_column.column_id = cell.column_id
INNER JOIN embedding
    ON embedding.dataset_id = cell.dataset_id
    AND embedding.encoder_id = link.encoder_id
    AND embedding.text_id = cell.text_id
WHERE link.link_id = ANY(:link_ids)
