CREATE VIEW lineage.run_set AS
SELECT
    run.training_run_id,
    run.training_set_id,
    run.training_run_id AS learned_by,
    0 AS steps
FROM training_run AS run
UNION ALL
SELECT
    run.training_run_id,
    before.training_set_id,
    before.training_run_id AS learned_by,
    above.steps
FROM training_run AS run
CROSS JOIN LATERAL lineage.runs_before(run.training_run_id) AS above
INNER JOIN training_run AS before ON before.training_run_id = above.run_id
WHERE run.parent_run_id IS NOT NULL;

COMMENT ON VIEW lineage.run_set IS
'One row a run and a set that it has learned from: its own, and that of each run whose weights it started from.';
COMMENT ON COLUMN lineage.run_set.learned_by IS 'the run whose own set it is: itself, or one before it';
COMMENT ON COLUMN lineage.run_set.steps IS 'from the run to learned_by; 0 where they are the same';
