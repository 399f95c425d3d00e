-- What a training run's model card says of it, apart from sources, teachers and scores.
SELECT
    task.name AS task,
    task_version.instruction,
    coalesce(task_version.labels, CAST('[]' AS jsonb)) AS labels,
    run.student,
    run.base,
    run.base_revision,
    training_set.name AS training_set,
    training_set.manifest_hash,
    training_set.size AS examples,
    run.hyperparameters,
    run.seed,
    run.code_version,
    run.artifact_hash,
    run.artifact_path
FROM training_run AS run
INNER JOIN training_set USING (training_set_id)
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
WHERE run.training_run_id = :training_run_id AND run.state = 'done'
