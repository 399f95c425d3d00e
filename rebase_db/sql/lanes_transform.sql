-- Tasks, by version and encoder, with links that could be claimed now, or by :until.
SELECT newest.task_version_id, newest.encoder_id, newest.priority
FROM (
    SELECT DISTINCT ON (task.task_id) retrieval.task_version_id, retrieval.encoder_id, task.priority
    FROM task
    INNER JOIN task_version USING (task_id)
    INNER JOIN retrieval USING (task_version_id)
    WHERE task.paused_at IS NULL AND retrieval.state = 'done'
    ORDER BY task.task_id, task_version.version DESC, retrieval.retrieval_id DESC
) AS newest
WHERE
    EXISTS (
        SELECT
        FROM retrieval_link AS link
        WHERE
            link.task_version_id = newest.task_version_id
            AND link.encoder_id = newest.encoder_id
            AND link.state = 'retrieved'
            AND link.displaced_by IS NULL
            AND link.ready_at <= coalesce(CAST(:until AS timestamptz), statement_timestamp())
    )
ORDER BY newest.priority DESC
