-- What a training run was asked for and what came of it; when its last attempt began, if it has.
SELECT
    run.training_run_id,
    run.training_set_id,
    run.state,
    run.student,
    run.base,
    run.base_revision,
    run.base_weights_hash,
    run.hyperparameters,
    run.seed,
    run.code_version,
    run.run_key,
    run.environment,
    run.artifact_path,
    run.artifact_hash,
    run.created_at,
    least(coalesce(began.at, run.created_at), run.finished_at) AS began_at,
    run.finished_at
FROM training_run AS run
LEFT JOIN LATERAL (
    SELECT event.at
    FROM event
    WHERE event.queue = 'training_run' AND event.item_id = run.training_run_id AND event.to_state = 'running'
    ORDER BY event.event_id DESC
    LIMIT 1
) AS began ON TRUE
WHERE run.training_run_id = :training_run_id
