-- Errors of rows that failed for good, most frequent first. Of links only those that `status` counts.
WITH newest AS MATERIALIZED (
    SELECT * FROM live_ranking
)
SELECT stage, task, error, count(*) AS rows
FROM (
    SELECT 'embed' AS stage, '' AS task, error FROM embed_chunk WHERE state = 'failed'
    UNION ALL
    SELECT 'retrieve', task.name, retrieval.error
    FROM retrieval
    INNER JOIN task_version USING (task_version_id)
    INNER JOIN task USING (task_id)
    WHERE retrieval.state = 'failed'
    UNION ALL
    SELECT 'transform', newest.task, link.error
    FROM newest
    CROSS JOIN LATERAL (
        SELECT error
        FROM retrieval_link
        WHERE
            task_version_id = newest.task_version_id
            AND encoder_id = newest.encoder_id
            AND state = 'failed'
            AND finished_at IS NOT NULL
            AND displaced_by IS NULL
            AND retracted_at IS NULL
    ) AS link
    UNION ALL
    SELECT 'distill', task.name, run.error
    FROM training_run AS run
    INNER JOIN training_set USING (training_set_id)
    INNER JOIN task_version USING (task_version_id)
    INNER JOIN task USING (task_id)
    WHERE run.state = 'failed'
) AS failed
GROUP BY stage, task, error
ORDER BY rows DESC, stage ASC, error ASC
LIMIT 20
