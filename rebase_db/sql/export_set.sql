-- What a training set is and what it was frozen for.
SELECT
    training_set.training_set_id,
    training_set.name,
    training_set.size,
    training_set.manifest_hash,
    training_set.created_at,
    predecessor.name AS successor_of,
    task.name AS task,
    task_version.version AS task_version,
    task_version.content_hash AS task_hash,
    task_version.instruction,
    task_version.labels
FROM training_set
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
LEFT JOIN training_set AS predecessor ON predecessor.training_set_id = training_set.successor_of
WHERE training_set.training_set_id = :training_set_id
