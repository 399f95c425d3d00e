CREATE VIEW lineage.retracted_set AS
SELECT
    reached.retraction_id,
    reached.standing,
    training_set.training_set_id,
    training_set.name AS training_set,
    count(DISTINCT reached.example_id) AS examples,
    training_set.size,
    CAST(count(DISTINCT reached.example_id) AS double precision) / training_set.size AS share,
    count(DISTINCT (reached.dataset_id, reached.row_id)) AS rows
FROM lineage.retracted_example AS reached
INNER JOIN training_set_member AS member ON member.example_id = reached.example_id
INNER JOIN training_set ON training_set.training_set_id = member.training_set_id
GROUP BY
    reached.retraction_id, reached.standing, training_set.training_set_id,
    training_set.name, training_set.size;

COMMENT ON VIEW lineage.retracted_set IS
'One row a retraction and a frozen set with examples that rest on rows it covers.';
COMMENT ON COLUMN lineage.retracted_set.standing IS 'the retraction was not undone';
COMMENT ON COLUMN lineage.retracted_set.examples IS 'examples of the set that rest on a row it covers';
COMMENT ON COLUMN lineage.retracted_set.size IS 'examples of the set';
COMMENT ON COLUMN lineage.retracted_set.share IS 'examples / size';
COMMENT ON COLUMN lineage.retracted_set.rows IS 'rows it covers behind them';
