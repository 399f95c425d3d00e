-- Tasks, by version and encoder, that have nothing left to claim or in hand, and accepted examples that were never compared
-- with the others although the task wants that: the worker that was to do it died.
SELECT newest.task_version_id, newest.encoder_id
FROM live_ranking AS newest
INNER JOIN task USING (task_id)
WHERE
    newest.paused_at IS NULL
    AND coalesce(task.settings #>> '{checks,duplicate,action}', '') <> 'off'
    AND EXISTS (
        SELECT
        FROM retrieval_link AS link
        INNER JOIN generation ON generation.link_id = link.link_id AND generation.attempt = link.attempt
        INNER JOIN example USING (generation_id)
        WHERE
            link.task_version_id = newest.task_version_id
            AND link.encoder_id = newest.encoder_id
            AND link.state = 'transformed'
            AND link.finished_at > clock_timestamp() - interval '1 day'
            AND link.displaced_by IS NULL
            AND link.retracted_at IS NULL
            AND NOT EXISTS (
                SELECT
                FROM check_result
                INNER JOIN check_definition USING (check_id)
                WHERE check_result.example_id = example.example_id AND check_definition.name = 'duplicate'
            )
    )
    AND NOT EXISTS (
        SELECT
        FROM retrieval_link AS link
        WHERE
            link.task_version_id = newest.task_version_id
            AND link.encoder_id = newest.encoder_id
            AND link.state IN ('retrieved', 'transforming')
            AND link.displaced_by IS NULL
            AND link.retracted_at IS NULL
            AND NOT EXISTS (
                SELECT FROM budget WHERE budget.task_id = newest.task_id AND budget.exhausted_at IS NOT NULL
            )
    )
