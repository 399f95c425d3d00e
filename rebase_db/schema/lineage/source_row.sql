CREATE VIEW lineage.source_row AS
SELECT
    source_row.dataset_id,
    source_row.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    source_row.source_key,
    dataset.licence,
    dataset_split.uri,
    ingest_split.revision,
    source_row.ingest_id,
    ingest.created_at AS loaded_at,
    source_row.content,
    encode(source_row.content_hash, 'hex') AS row_hash,
    source_row.retracted_at,
    source_row.erased_by,
    source_row.removed_at,
    removed_row.ingest_id AS removed_by,
    became.row_id AS became,
    changed_row.previous_row_id AS previous
FROM source_row
INNER JOIN dataset USING (dataset_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
INNER JOIN ingest USING (dataset_id, ingest_id)
INNER JOIN ingest_split USING (dataset_id, ingest_id, split_id)
LEFT JOIN changed_row USING (dataset_id, row_id)
LEFT JOIN removed_row ON removed_row.dataset_id = source_row.dataset_id AND removed_row.row_id = source_row.row_id
LEFT JOIN changed_row AS became
    ON became.dataset_id = source_row.dataset_id AND became.previous_row_id = source_row.row_id;

COMMENT ON VIEW lineage.source_row IS 'One row a source row: where it stands at its source, and what it says.';
COMMENT ON COLUMN lineage.source_row.row_id IS 'its number in our dataset; its place at its source is source_index';
COMMENT ON COLUMN lineage.source_row.source_index IS 'its place in its split at the source, from 0';
COMMENT ON COLUMN lineage.source_row.source_key IS 'the key its source gives it, if any';
COMMENT ON COLUMN lineage.source_row.licence IS 'as its dataset was loaded with; null is unknown';
COMMENT ON COLUMN lineage.source_row.revision IS 'SHA-256 of the file it was read from, or commit of a hub dataset';
COMMENT ON COLUMN lineage.source_row.ingest_id IS 'the load that brought it, counted by dataset';
COMMENT ON COLUMN lineage.source_row.content IS
'each column that has a value, with its text; erased, its SHA-256 in hex';
COMMENT ON COLUMN lineage.source_row.row_hash IS 'SHA-256 over the content, in hex; equal for mirrors';
COMMENT ON COLUMN lineage.source_row.retracted_at IS 'since when a retraction that stands covers it';
COMMENT ON COLUMN lineage.source_row.erased_by IS 'the retraction under which its words were erased';
COMMENT ON COLUMN lineage.source_row.removed_at IS 'since when its source has it no more, or with other content';
COMMENT ON COLUMN lineage.source_row.removed_by IS 'the load that found it so';
COMMENT ON COLUMN lineage.source_row.became IS 'the row it has become, if its content changed';
COMMENT ON COLUMN lineage.source_row.previous IS 'the row it was before its content changed';
