-- Covers what a retraction on record does.
INSERT INTO covered_row (dataset_id, row_id)
SELECT dataset_id, row_id
FROM retracted_row
WHERE retraction_id = :retraction_id
