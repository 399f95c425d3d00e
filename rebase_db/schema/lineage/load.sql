CREATE VIEW lineage.load AS
SELECT
    ingest.dataset_id,
    ingest.ingest_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    dataset_split.uri,
    ingest_split.revision,
    ingest_split.rows_added,
    ingest_split.rows_unchanged,
    ingest_split.rows_rejected,
    ingest_split.max_rows,
    ingest_split.rows_in_source,
    ingest.code_version,
    ingest.created_at AS loaded_at
FROM ingest_split
INNER JOIN ingest USING (dataset_id, ingest_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN dataset_split USING (dataset_id, split_id);

COMMENT ON VIEW lineage.load IS 'One row a load and a split that it read.';
COMMENT ON COLUMN lineage.load.ingest_id IS 'the load, counted by dataset';
COMMENT ON COLUMN lineage.load.revision IS 'SHA-256 of the file read, or commit of a hub dataset';
COMMENT ON COLUMN lineage.load.rows_unchanged IS 'rows that an earlier load had brought already';
COMMENT ON COLUMN lineage.load.max_rows IS 'how many rows it was told to take at most';
COMMENT ON COLUMN lineage.load.rows_in_source IS 'null where its reader cannot tell';
