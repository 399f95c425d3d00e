CREATE VIEW lineage.run_example AS
SELECT
    learned.training_run_id,
    learned.training_set_id,
    learned.learned_by,
    learned.position,
    learned.example_id,
    learned.example_id AS via_example_id,
    0 AS depth
FROM lineage.run_member AS learned
UNION ALL
SELECT
    learned.training_run_id,
    learned.training_set_id,
    learned.learned_by,
    learned.position,
    learned.example_id,
    above.ancestor_id AS via_example_id,
    above.depth
FROM lineage.run_member AS learned
CROSS JOIN LATERAL lineage.ancestors_of(learned.example_id) AS above
WHERE EXISTS (SELECT FROM example_parent WHERE example_parent.example_id = learned.example_id);

COMMENT ON VIEW lineage.run_example IS
'One row an example that a run has learned from and an example that one rests on, which is itself or an earlier one it
was made from.';
COMMENT ON COLUMN lineage.run_example.training_set_id IS
'the set that example_id is in: the run''s, or that of learned_by';
COMMENT ON COLUMN lineage.run_example.learned_by IS
'the run whose set that is: itself, or one whose weights it started from';
COMMENT ON COLUMN lineage.run_example.position IS 'place of example_id in that set, from 1';
COMMENT ON COLUMN lineage.run_example.via_example_id IS 'the example it rests on';
COMMENT ON COLUMN lineage.run_example.depth IS 'steps from example_id to via_example_id; 0 where they are the same';
