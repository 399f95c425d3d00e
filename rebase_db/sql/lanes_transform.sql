-- Tasks, by version and encoder, with links that could be claimed now, or by :until, and with money left for them.
SELECT newest.task_version_id, newest.encoder_id, newest.priority
FROM live_ranking AS newest
WHERE
    newest.paused_at IS NULL
    AND NOT EXISTS (SELECT FROM budget WHERE budget.task_id = newest.task_id AND budget.exhausted_at IS NOT NULL)
    AND EXISTS (
        SELECT
        FROM retrieval_link AS link
        WHERE
            link.task_version_id = newest.task_version_id
            AND link.encoder_id = newest.encoder_id
            AND link.state = 'retrieved'
            AND link.displaced_by IS NULL
            AND link.retracted_at IS NULL
            AND link.ready_at <= coalesce(CAST(:until AS timestamptz), statement_timestamp())
    )
ORDER BY newest.priority DESC
