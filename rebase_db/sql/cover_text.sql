-- Covers every row with a cell that is exactly the text with this SHA-256; looked up dataset by dataset, as texts are indexed.
INSERT INTO covered_row (dataset_id, row_id)
SELECT DISTINCT cell.dataset_id, cell.row_id
FROM dataset
INNER JOIN text ON text.dataset_id = dataset.dataset_id AND text.sha256 = :digest
INNER JOIN cell ON cell.dataset_id = text.dataset_id AND cell.text_id = text.text_id
