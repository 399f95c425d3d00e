-- Every training set: its task, how many examples it has, when it was frozen, what it follows, and the runs on it; newest first.
SELECT
    training_set.name AS training_set,
    task.name AS task,
    task_version.version,
    training_set.size,
    training_set.created_at AS frozen_at,
    array(
        SELECT run.training_run_id
        FROM training_run AS run
        WHERE run.training_set_id = training_set.training_set_id
        ORDER BY run.training_run_id
    ) AS runs,
    predecessor.name AS successor_of
FROM training_set
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
LEFT JOIN training_set AS predecessor ON predecessor.training_set_id = training_set.successor_of
WHERE CAST(:task AS text) IS NULL OR task.name = :task
ORDER BY training_set.training_set_id DESC
