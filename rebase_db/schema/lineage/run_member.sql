CREATE VIEW lineage.run_member AS
SELECT
    run.training_run_id,
    run.training_set_id,
    run.training_run_id AS learned_by,
    member.position,
    member.example_id
FROM training_run AS run
INNER JOIN training_set_member AS member USING (training_set_id)
UNION ALL
SELECT
    run.training_run_id,
    before.training_set_id,
    before.training_run_id AS learned_by,
    member.position,
    member.example_id
FROM training_run AS run
CROSS JOIN LATERAL lineage.runs_before(run.training_run_id) AS above
INNER JOIN training_run AS before ON before.training_run_id = above.run_id
INNER JOIN training_set_member AS member ON member.training_set_id = before.training_set_id
WHERE
    run.parent_run_id IS NOT NULL
    -- Each example once, in the nearest set.
    AND NOT lineage.learned_within(run.training_run_id, above.steps, member.example_id);

COMMENT ON VIEW lineage.run_member IS
'One row a run and an example that it has learned from: those of its set, and those that the runs whose weights it
started from had learned before.';
COMMENT ON COLUMN lineage.run_member.training_set_id IS 'the set that the example is in; of several the nearest';
COMMENT ON COLUMN lineage.run_member.learned_by IS 'the run whose own set that is: itself, or one before it';
COMMENT ON COLUMN lineage.run_member.position IS 'place of the example in that set, from 1';
