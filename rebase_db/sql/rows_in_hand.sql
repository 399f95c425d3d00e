-- Rows that workers hold, by stage and task: how many, seconds since the oldest heartbeat among their workers, and
-- seconds since the one that has been worked on longest was claimed.
WITH held AS MATERIALIZED (
    SELECT 'embed' AS stage, 'embed_chunk' AS queue, embed_chunk_id AS item_id, worker_id, NULL AS task_version_id
    FROM embed_chunk
    WHERE state = 'running'
    UNION ALL
    SELECT 'retrieve', 'retrieval', retrieval_id, worker_id, task_version_id
    FROM retrieval
    WHERE state = 'running'
    UNION ALL
    SELECT 'transform', 'retrieval_link', link_id, worker_id, task_version_id
    FROM retrieval_link
    WHERE state = 'transforming'
    UNION ALL
    SELECT 'distill', 'training_run', run.training_run_id, run.worker_id, training_set.task_version_id
    FROM training_run AS run
    INNER JOIN training_set USING (training_set_id)
    WHERE run.state = 'running'
)
SELECT
    held.stage,
    coalesce(task.name, '') AS task,
    count(*) AS rows,
    CAST(extract(EPOCH FROM clock_timestamp() - min(worker.heartbeat_at)) AS double precision) AS heartbeat_age,
    CAST(extract(EPOCH FROM clock_timestamp() - min(claimed.at)) AS double precision) AS longest
FROM held
INNER JOIN worker USING (worker_id)
CROSS JOIN LATERAL (
    SELECT max(event.at) AS at
    FROM event
    WHERE event.queue = held.queue AND event.item_id = held.item_id AND event.event = 'claim'
) AS claimed
LEFT JOIN task_version USING (task_version_id)
LEFT JOIN task USING (task_id)
GROUP BY held.stage, task.name
