CREATE VIEW lineage.load AS
SELECT
    ingest.dataset_id,
    ingest.ingest_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    dataset_split.uri,
    ingest_split.revision,
    ingest.match_by,
    ingest_split.rows_added - coalesce(went.changed, 0) AS rows_added,
    coalesce(went.changed, 0) AS rows_changed,
    coalesce(went.removed, 0) AS rows_removed,
    ingest_split.rows_unchanged,
    ingest_split.rows_rejected,
    ingest_split.max_rows,
    ingest_split.rows_in_source,
    ingest.code_version,
    ingest.created_at AS loaded_at
FROM ingest_split
INNER JOIN ingest USING (dataset_id, ingest_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
LEFT JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE changed_row.row_id IS NOT NULL) AS changed,
        count(*) FILTER (WHERE changed_row.row_id IS NULL) AS removed
    FROM removed_row
    INNER JOIN source_row USING (dataset_id, row_id)
    LEFT JOIN changed_row
        ON changed_row.dataset_id = removed_row.dataset_id AND changed_row.previous_row_id = removed_row.row_id
    WHERE
        removed_row.dataset_id = ingest_split.dataset_id
        AND removed_row.ingest_id = ingest_split.ingest_id
        AND source_row.split_id = ingest_split.split_id
) AS went ON true;

COMMENT ON VIEW lineage.load IS 'One row a load and a split that it read.';
COMMENT ON COLUMN lineage.load.ingest_id IS 'the load, counted by dataset';
COMMENT ON COLUMN lineage.load.revision IS 'SHA-256 of the file read, or commit of a hub dataset';
COMMENT ON COLUMN lineage.load.match_by IS
'how its rows were matched with those that were there: content, index, or key with a colon and the column';
COMMENT ON COLUMN lineage.load.rows_added IS 'new rows, without those that changed';
COMMENT ON COLUMN lineage.load.rows_changed IS 'rows whose content changed: new ones, each for one that is removed';
COMMENT ON COLUMN lineage.load.rows_removed IS 'rows that its source had no more, without those that changed';
COMMENT ON COLUMN lineage.load.rows_unchanged IS 'rows that an earlier load had brought already';
COMMENT ON COLUMN lineage.load.max_rows IS 'how many rows it was told to take at most';
COMMENT ON COLUMN lineage.load.rows_in_source IS 'null where its reader cannot tell';
