-- Covers every row of some datasets.
INSERT INTO covered_row (dataset_id, row_id)
SELECT dataset_id, row_id
FROM source_row
WHERE dataset_id = ANY(CAST(:dataset_ids AS integer []))
