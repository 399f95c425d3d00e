-- Encoders with retrievals that could be claimed now, or by :until. One whose texts are still being embedded is left out: its
-- retrievals would have to wait for that.
SELECT encoder_id, max(task.priority) AS priority
FROM retrieval
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
WHERE
    retrieval.state = 'waiting'
    AND retrieval.ready_at <= coalesce(CAST(:until AS timestamptz), statement_timestamp())
    AND task.paused_at IS NULL
    AND NOT EXISTS (
        SELECT
        FROM embed_chunk
        WHERE embed_chunk.encoder_id = retrieval.encoder_id AND embed_chunk.state IN ('waiting', 'running')
    )
GROUP BY encoder_id
ORDER BY priority DESC
