CREATE VIEW lineage.row_run AS
SELECT
    reached.dataset_id,
    reached.row_id,
    reached.dataset,
    reached.config,
    reached.split,
    reached.source_index,
    reached.licence,
    reached.retracted_at,
    reached.via_example_id,
    reached.example_id,
    reached.kind,
    reached.depth,
    training_set.name AS training_set,
    learned.learned_by,
    member.position,
    run.training_run_id,
    run.state,
    run.artifact_path
FROM lineage.row_example AS reached
INNER JOIN training_set_member AS member ON member.example_id = reached.example_id
INNER JOIN lineage.run_set AS learned ON learned.training_set_id = member.training_set_id
INNER JOIN training_set ON training_set.training_set_id = learned.training_set_id
INNER JOIN training_run AS run ON run.training_run_id = learned.training_run_id
WHERE
    learned.steps = 0
    OR NOT lineage.learned_within(learned.training_run_id, learned.steps, member.example_id);

COMMENT ON VIEW lineage.row_run IS
'One row an example made from a source row, an example it reached, and a run that has learned from that one. Ask
it by row, dataset or licence; by run ask run_source.';
COMMENT ON COLUMN lineage.row_run.via_example_id IS 'the example that was made from the row';
COMMENT ON COLUMN lineage.row_run.example_id IS 'the example in the set: the same, or a later one made from it';
COMMENT ON COLUMN lineage.row_run.training_set IS 'the set with example_id: the run''s, or that of learned_by';
COMMENT ON COLUMN lineage.row_run.learned_by IS
'the run whose set that is: itself, or one whose weights it started from';
COMMENT ON COLUMN lineage.row_run.position IS 'place of example_id in the set, from 1';
COMMENT ON COLUMN lineage.row_run.state IS 'of the run: waiting, running, done, failed or cancelled';
