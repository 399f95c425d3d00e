-- Runs that have learned from some sets, by their own or by a run whose weights they started from, with all they learned from.
SELECT
    run.training_run_id,
    run.training_set_id,
    training_set.name AS training_set,
    CASE
        WHEN run.parent_run_id IS NULL THEN CAST(training_set.size AS bigint)
        ELSE lineage.examples_learned(run.training_run_id)
    END AS size,
    run.state,
    run.base,
    run.parent_run_id
FROM training_run AS run
INNER JOIN training_set USING (training_set_id)
WHERE run.training_run_id IN (
    SELECT learned.training_run_id
    FROM lineage.run_set AS learned
    WHERE learned.training_set_id = ANY(CAST(:training_set_ids AS integer []))
)
ORDER BY run.training_run_id
