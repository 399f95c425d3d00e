CREATE VIEW lineage.run_dataset AS
SELECT
    reached.training_run_id,
    training_set.name AS training_set,
    dataset.name AS dataset,
    dataset.licence,
    count(DISTINCT reached.example_id) AS examples,
    lineage.examples_learned(reached.training_run_id) AS size,
    CAST(count(DISTINCT reached.example_id) AS double precision)
    / lineage.examples_learned(reached.training_run_id) AS share,
    count(DISTINCT link.row_id) AS rows,
    count(DISTINCT reached.example_id) FILTER (WHERE link.retracted_at IS NOT NULL) AS retracted
FROM lineage.run_example AS reached
INNER JOIN example ON example.example_id = reached.via_example_id
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN training_run AS run ON run.training_run_id = reached.training_run_id
INNER JOIN training_set ON training_set.training_set_id = run.training_set_id
GROUP BY reached.training_run_id, training_set.name, dataset.name, dataset.licence;

COMMENT ON VIEW lineage.run_dataset IS
'One row a run and a dataset that its examples rest on. Ask it by run; by dataset ask dataset_run.';
COMMENT ON COLUMN lineage.run_dataset.examples IS
'of the examples that the run has learned from those that rest on a row of the dataset';
COMMENT ON COLUMN lineage.run_dataset.size IS 'examples of the set';
COMMENT ON COLUMN lineage.run_dataset.share IS
'examples / size; shares of a run add up to more than 1 where examples have parents of other datasets';
COMMENT ON COLUMN lineage.run_dataset.rows IS 'different rows of the dataset behind them';
COMMENT ON COLUMN lineage.run_dataset.retracted IS 'of the examples those whose row a retraction that stands covers';
