CREATE VIEW lineage.run_licence AS
SELECT
    reached.training_run_id,
    training_set.name AS training_set,
    dataset.licence,
    count(DISTINCT reached.example_id) AS examples,
    lineage.examples_learned(reached.training_run_id) AS size,
    CAST(count(DISTINCT reached.example_id) AS double precision)
    / lineage.examples_learned(reached.training_run_id) AS share,
    count(DISTINCT dataset.dataset_id) AS datasets
FROM lineage.run_example AS reached
INNER JOIN example ON example.example_id = reached.via_example_id
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN training_run AS run ON run.training_run_id = reached.training_run_id
INNER JOIN training_set ON training_set.training_set_id = run.training_set_id
GROUP BY reached.training_run_id, training_set.name, dataset.licence;

COMMENT ON VIEW lineage.run_licence IS
'One row a run and a licence that its examples rest on. Ask it by run; by licence ask licence_run.';
COMMENT ON COLUMN lineage.run_licence.licence IS 'as datasets were loaded with; null is unknown';
COMMENT ON COLUMN lineage.run_licence.examples IS
'of the examples that the run has learned from those that rest on a row under the licence';
COMMENT ON COLUMN lineage.run_licence.size IS 'examples of the set';
COMMENT ON COLUMN lineage.run_licence.share IS
'examples / size; shares of a run add up to more than 1 where examples have parents under other licences';
COMMENT ON COLUMN lineage.run_licence.datasets IS 'datasets under the licence among them';
