CREATE VIEW lineage.run_source AS
SELECT
    reached.training_run_id,
    reached.training_set_id,
    reached.learned_by,
    reached.position,
    reached.example_id,
    CASE reached.depth WHEN 0 THEN 'own' ELSE 'parent' END AS kind,
    reached.depth,
    reached.via_example_id,
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
FROM lineage.run_example AS reached
INNER JOIN example ON example.example_id = reached.via_example_id
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
INNER JOIN ingest_split USING (dataset_id, ingest_id, split_id);

COMMENT ON VIEW lineage.run_source IS
'One row an example that a run has learned from and an example that one rests on: the row of the latter. Ask it by run;
by row or dataset ask row_run.';
COMMENT ON COLUMN lineage.run_source.training_set_id IS
'the set that example_id is in: the run''s, or that of learned_by';
COMMENT ON COLUMN lineage.run_source.learned_by IS
'the run whose set that is: itself, or one whose weights it started from';
COMMENT ON COLUMN lineage.run_source.position IS 'place of example_id in that set, from 1';
COMMENT ON COLUMN lineage.run_source.kind IS
'own: the row example_id was made from; parent: the row of an earlier example';
COMMENT ON COLUMN lineage.run_source.depth IS 'steps to that earlier example; 0 for the own row';
COMMENT ON COLUMN lineage.run_source.via_example_id IS 'the example that was made from the row';
COMMENT ON COLUMN lineage.run_source.revision IS
'SHA-256 of the file the row was read from, or commit of a hub dataset';
COMMENT ON COLUMN lineage.run_source.row_hash IS 'SHA-256 over the row''s content, in hex';
COMMENT ON COLUMN lineage.run_source.retracted_at IS 'since when a retraction that stands covers the row';
