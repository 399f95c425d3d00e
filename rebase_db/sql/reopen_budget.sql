-- A new ranking may want more examples, or rows whose answers are stored: whoever claims next finds out what is left.
UPDATE budget
SET exhausted_at = NULL
FROM task_version
WHERE
    task_version.task_version_id = :task_version_id
    AND budget.task_id = task_version.task_id
    AND budget.exhausted_at IS NOT NULL
