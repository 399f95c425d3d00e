-- Covers the rows with the content of a covered one.
INSERT INTO covered_row (dataset_id, row_id)
SELECT DISTINCT mirror.dataset_id, mirror.row_id
FROM covered_row
INNER JOIN source_row ON source_row.dataset_id = covered_row.dataset_id AND source_row.row_id = covered_row.row_id
INNER JOIN source_row AS mirror ON mirror.content_hash = source_row.content_hash
ON CONFLICT DO NOTHING
