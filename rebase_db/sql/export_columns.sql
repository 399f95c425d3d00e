-- The columns of some datasets in their order, each with its type at the source.
SELECT DISTINCT ON (split_column.dataset_id, dataset_column.column_id)
    split_column.dataset_id,
    dataset_column.name,
    split_column.source_type
FROM split_column
INNER JOIN dataset_column USING (dataset_id, column_id)
WHERE split_column.dataset_id = ANY(:dataset_ids)
ORDER BY split_column.dataset_id, dataset_column.column_id, split_column.split_id
