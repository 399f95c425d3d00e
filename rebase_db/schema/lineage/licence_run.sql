CREATE VIEW lineage.licence_run AS
SELECT
    reached.licence,
    run.training_run_id,
    training_set.name AS training_set,
    run.state,
    run.artifact_path,
    count(DISTINCT reached.example_id) AS examples,
    lineage.examples_learned(run.training_run_id) AS size,
    CAST(count(DISTINCT reached.example_id) AS double precision)
    / lineage.examples_learned(run.training_run_id) AS share,
    count(DISTINCT reached.dataset_id) AS datasets
FROM lineage.dataset_example AS reached
INNER JOIN training_set_member AS member ON member.example_id = reached.example_id
INNER JOIN lineage.run_set AS learned ON learned.training_set_id = member.training_set_id
INNER JOIN training_run AS run ON run.training_run_id = learned.training_run_id
INNER JOIN training_set ON training_set.training_set_id = run.training_set_id
GROUP BY
    reached.licence, run.training_run_id, run.state, run.artifact_path, training_set.name;

COMMENT ON VIEW lineage.licence_run IS
'One row a licence and a run whose examples rest on rows under it. Ask it by licence; by run ask run_licence.';
COMMENT ON COLUMN lineage.licence_run.licence IS 'as datasets were loaded with; null is unknown';
COMMENT ON COLUMN lineage.licence_run.state IS 'of the run: waiting, running, done, failed or cancelled';
COMMENT ON COLUMN lineage.licence_run.examples IS
'of the examples that the run has learned from those that rest on a row under the licence';
COMMENT ON COLUMN lineage.licence_run.size IS 'examples that the run has learned from';
COMMENT ON COLUMN lineage.licence_run.share IS 'examples / size';
COMMENT ON COLUMN lineage.licence_run.datasets IS 'datasets under the licence among them';
