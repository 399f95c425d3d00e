CREATE VIEW lineage.run_example AS
SELECT
    run.training_run_id,
    run.training_set_id,
    member.position,
    member.example_id,
    member.example_id AS via_example_id,
    0 AS depth
FROM training_run AS run
INNER JOIN training_set_member AS member USING (training_set_id)
UNION ALL
SELECT
    run.training_run_id,
    run.training_set_id,
    member.position,
    member.example_id,
    above.ancestor_id AS via_example_id,
    above.depth
FROM training_run AS run
INNER JOIN training_set_member AS member USING (training_set_id)
CROSS JOIN LATERAL lineage.ancestors_of(member.example_id) AS above
WHERE EXISTS (SELECT FROM example_parent WHERE example_parent.example_id = member.example_id);

COMMENT ON VIEW lineage.run_example IS
'One row an example of a run''s set and an example it rests on, which is itself or an earlier one it was made from.';
COMMENT ON COLUMN lineage.run_example.position IS 'place of example_id in the set, from 1';
COMMENT ON COLUMN lineage.run_example.via_example_id IS 'the example it rests on';
COMMENT ON COLUMN lineage.run_example.depth IS 'steps from example_id to via_example_id; 0 where they are the same';
