-- Training runs on some sets, with their scores: what was trained, where it lies, and what it was measured to do.
SELECT
    run.training_run_id AS run,
    run.training_set_id,
    run.state,
    run.student,
    run.base,
    run.finished_at,
    run.artifact_path,
    encode(run.artifact_hash, 'hex') AS artifact_hash,
    ARRAY(
        SELECT
            jsonb_build_object('benchmark', benchmark.name, 'metric', evaluation.metric, 'value', evaluation.value)
        FROM evaluation
        INNER JOIN benchmark USING (benchmark_id)
        WHERE evaluation.training_run_id = run.training_run_id
        ORDER BY evaluation.evaluation_id
    ) AS scores
FROM training_run AS run
WHERE run.training_set_id = ANY(CAST(:training_set_ids AS integer []))
ORDER BY run.state <> 'done', run.training_run_id
