-- What erasing the covered rows would empty that is not empty yet. `texts_kept` are texts of theirs that other rows have, or that
-- describe their dataset.
SELECT
    (
        SELECT count(*)
        FROM covered_row
        INNER JOIN source_row ON source_row.dataset_id = covered_row.dataset_id AND source_row.row_id = covered_row.row_id
        WHERE source_row.erased_by IS NULL
    ) AS rows,
    (SELECT count(*) FROM covered_text) AS texts,
    (
        SELECT count(*)
        FROM (
            SELECT DISTINCT cell.dataset_id, cell.text_id
            FROM covered_row
            INNER JOIN cell ON cell.dataset_id = covered_row.dataset_id AND cell.row_id = covered_row.row_id
            INNER JOIN text ON text.dataset_id = cell.dataset_id AND text.text_id = cell.text_id
            WHERE text.erased_by IS NULL
            EXCEPT
            SELECT covered_text.dataset_id, covered_text.text_id FROM covered_text
        ) AS kept
    ) AS texts_kept,
    (
        SELECT count(*)
        FROM covered_text
        INNER JOIN embedding
            ON embedding.dataset_id = covered_text.dataset_id AND embedding.text_id = covered_text.text_id
    ) AS vectors,
    (
        SELECT count(*)
        FROM (
            SELECT generation.generation_id
            FROM covered_row
            INNER JOIN retrieval_link AS link
                ON link.dataset_id = covered_row.dataset_id AND link.row_id = covered_row.row_id
            INNER JOIN generation ON generation.link_id = link.link_id
            WHERE generation.erased_by IS NULL
            UNION
            SELECT generation.generation_id
            FROM covered_example
            INNER JOIN generation ON generation.generation_id = covered_example.generation_id
            WHERE generation.erased_by IS NULL
        ) AS call
    ) AS calls,
    (
        SELECT count(*)
        FROM covered_example
        INNER JOIN example ON example.example_id = covered_example.example_id
        WHERE example.erased_by IS NULL
    ) AS examples,
    (
        SELECT count(*)
        FROM covered_example
        INNER JOIN judgement ON judgement.example_id = covered_example.example_id
        WHERE judgement.erased_by IS NULL
    ) AS judgements
