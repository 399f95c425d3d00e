CREATE VIEW lineage.dataset_set AS
SELECT
    reached.dataset,
    reached.licence,
    training_set.training_set_id,
    training_set.name AS training_set,
    count(DISTINCT reached.example_id) AS examples,
    training_set.size,
    CAST(count(DISTINCT reached.example_id) AS double precision) / training_set.size AS share,
    count(DISTINCT reached.row_id) AS rows,
    count(DISTINCT reached.example_id) FILTER (WHERE reached.retracted_at IS NOT NULL) AS retracted
FROM lineage.dataset_example AS reached
INNER JOIN training_set_member AS member ON member.example_id = reached.example_id
INNER JOIN training_set ON training_set.training_set_id = member.training_set_id
GROUP BY reached.dataset, reached.licence, training_set.training_set_id, training_set.name, training_set.size;

COMMENT ON VIEW lineage.dataset_set IS
'One row a dataset and a training set whose examples rest on it. Ask it by dataset or licence.';
COMMENT ON COLUMN lineage.dataset_set.examples IS 'examples of the set that rest on a row of the dataset';
COMMENT ON COLUMN lineage.dataset_set.size IS 'examples of the set';
COMMENT ON COLUMN lineage.dataset_set.share IS 'examples / size';
COMMENT ON COLUMN lineage.dataset_set.rows IS 'different rows of the dataset behind them';
COMMENT ON COLUMN lineage.dataset_set.retracted IS 'of the examples those whose row a retraction that stands covers';
