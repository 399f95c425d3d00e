CREATE VIEW lineage.retracted_run AS
SELECT
    reached.retraction_id,
    reached.standing,
    run.training_run_id,
    run.state,
    run.artifact_path,
    encode(run.artifact_hash, 'hex') AS artifact_hash,
    training_set.name AS training_set,
    count(DISTINCT reached.example_id) AS examples,
    lineage.examples_learned(run.training_run_id) AS size,
    CAST(count(DISTINCT reached.example_id) AS double precision)
    / lineage.examples_learned(run.training_run_id) AS share,
    count(DISTINCT (reached.dataset_id, reached.row_id)) AS rows
FROM lineage.retracted_example AS reached
INNER JOIN training_set_member AS member ON member.example_id = reached.example_id
INNER JOIN lineage.run_set AS learned ON learned.training_set_id = member.training_set_id
INNER JOIN training_run AS run ON run.training_run_id = learned.training_run_id
INNER JOIN training_set ON training_set.training_set_id = run.training_set_id
GROUP BY
    reached.retraction_id, reached.standing, run.training_run_id, run.state, run.artifact_path,
    run.artifact_hash,
    training_set.name;

COMMENT ON VIEW lineage.retracted_run IS
'One row a retraction and a run, also one that has not finished, that has learned from examples that rest on rows it
covers: by its set, or by a run whose weights it started from.';
COMMENT ON COLUMN lineage.retracted_run.standing IS 'the retraction was not undone';
COMMENT ON COLUMN lineage.retracted_run.examples IS
'of the examples that the run has learned from those that rest on a row it covers';
COMMENT ON COLUMN lineage.retracted_run.size IS 'examples that the run has learned from';
COMMENT ON COLUMN lineage.retracted_run.share IS 'examples / size';
COMMENT ON COLUMN lineage.retracted_run.rows IS 'rows it covers behind them';
