-- Records which rows a load's source had with other content, and which of the splits that were read whole it had no more.
INSERT INTO removed_row (dataset_id, row_id, ingest_id)
SELECT :dataset_id, standing_row.row_id, :ingest_id
FROM standing_row
LEFT JOIN matched_row USING (row_id)
WHERE
    matched_row.same IS FALSE
    OR (matched_row.row_id IS NULL AND standing_row.split_id = ANY(CAST(:whole AS smallint [])))
ORDER BY standing_row.row_id
