-- The texts that go when the covered rows are erased: those of their cells that no row has which stays, and the descriptions of
-- datasets that are withdrawn whole.
INSERT INTO covered_text (dataset_id, text_id)
SELECT text.dataset_id, text.text_id
FROM (
    SELECT DISTINCT cell.dataset_id, cell.text_id
    FROM covered_row
    INNER JOIN cell ON cell.dataset_id = covered_row.dataset_id AND cell.row_id = covered_row.row_id
    UNION
    SELECT dataset.dataset_id, dataset.description_text_id
    FROM dataset
    WHERE dataset.dataset_id = ANY(CAST(:dataset_ids AS integer []))
) AS used
INNER JOIN text ON text.dataset_id = used.dataset_id AND text.text_id = used.text_id
WHERE
    text.erased_by IS NULL
    AND NOT EXISTS (
        SELECT
        FROM dataset
        WHERE
            dataset.dataset_id = used.dataset_id
            AND dataset.description_text_id = used.text_id
            AND dataset.dataset_id <> ALL(CAST(:dataset_ids AS integer []))
    )
    AND NOT EXISTS (
        SELECT
        FROM cell
        INNER JOIN source_row ON source_row.dataset_id = cell.dataset_id AND source_row.row_id = cell.row_id
        WHERE
            cell.dataset_id = used.dataset_id
            AND cell.text_id = used.text_id
            AND source_row.erased_by IS NULL
            AND NOT EXISTS (
                SELECT
                FROM covered_row
                WHERE covered_row.dataset_id = cell.dataset_id AND covered_row.row_id = cell.row_id
            )
    )
