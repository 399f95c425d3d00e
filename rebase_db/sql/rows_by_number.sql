-- Some rows of a dataset: where they stand, and what they say.
SELECT
    source_row.row_id,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    source_row.ingest_id AS load,
    source_row.content
FROM source_row
INNER JOIN dataset_split USING (dataset_id, split_id)
WHERE source_row.dataset_id = :dataset_id AND source_row.row_id = ANY(CAST(:row_ids AS integer []))
