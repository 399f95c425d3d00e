-- Stores the cells of the rows that were numbered as copies.
INSERT INTO cell (dataset_id, row_id, column_id, text_id)
SELECT cell.dataset_id, arrived_row.row_id, cell.column_id, cell.text_id
FROM arrived_row
CROSS JOIN LATERAL (
    SELECT min(standing_row.row_id) AS row_id
    FROM standing_row
    WHERE standing_row.content_hash = arrived_row.content_hash
) AS original
INNER JOIN cell ON cell.dataset_id = :dataset_id AND cell.row_id = original.row_id
WHERE arrived_row.row_id > :last_row_id
