-- The loads of a dataset, a row a load and a split that it read, with what they did to the rows.
SELECT
    ingest_id AS load,
    loaded_at,
    config,
    split,
    revision,
    max_rows,
    match_by,
    rows_added AS added,
    rows_changed AS changed,
    rows_removed AS removed,
    rows_unchanged AS unchanged,
    rows_rejected AS left_out
FROM lineage.load
WHERE dataset_id = :dataset_id
ORDER BY ingest_id, config, split
