CREATE VIEW lineage.set_member AS
SELECT
    training_set.training_set_id,
    training_set.name AS training_set,
    member.position,
    example.example_id,
    example.input,
    example.output,
    example.rationale,
    encode(example.content_hash, 'hex') AS example_hash,
    link.dataset_id,
    link.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    ingest_split.revision,
    dataset.licence,
    encode(source_row.content_hash, 'hex') AS row_hash,
    link.retracted_at
FROM training_set
INNER JOIN training_set_member AS member USING (training_set_id)
INNER JOIN example USING (example_id)
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
INNER JOIN ingest_split USING (dataset_id, ingest_id, split_id);

COMMENT ON VIEW lineage.set_member IS
'One row a place in a training set: its example, and the row that was made from; rows of its parents are in
example_source.';
COMMENT ON COLUMN lineage.set_member.position IS 'from 1';
COMMENT ON COLUMN lineage.set_member.retracted_at IS 'since when a retraction that stands covers the row';
