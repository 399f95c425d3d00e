-- Says of the rows that a load removed since when they are.
UPDATE source_row
SET removed_at = ingest.created_at
FROM removed_row
INNER JOIN ingest USING (dataset_id, ingest_id)
WHERE
    removed_row.dataset_id = :dataset_id
    AND removed_row.ingest_id = :ingest_id
    AND source_row.dataset_id = removed_row.dataset_id
    AND source_row.row_id = removed_row.row_id
