-- Workers with what each has in hand, newest first. One lives while it beats and its connection holds its lock; those
-- that do not and hold nothing are left out unless :everyone.
WITH held AS (
    SELECT 'embed' AS stage, worker_id, count(*) AS rows FROM embed_chunk WHERE state = 'running' GROUP BY worker_id
    UNION ALL
    SELECT 'retrieve', worker_id, count(*) FROM retrieval WHERE state = 'running' GROUP BY worker_id
    UNION ALL
    SELECT 'transform', worker_id, count(*) FROM retrieval_link WHERE state = 'transforming' GROUP BY worker_id
    UNION ALL
    SELECT 'distill', worker_id, count(*) FROM training_run WHERE state = 'running' GROUP BY worker_id
),
in_hand AS (
    SELECT worker_id, jsonb_object_agg(stage, rows) AS rows FROM held GROUP BY worker_id
),
locked AS (
    SELECT CAST(objid AS bigint) AS worker_id
    FROM pg_locks
    WHERE
        locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = :lock
        AND objsubid = 2
        AND granted
),
judged AS (
    SELECT
        worker.*,
        CASE
            WHEN stopped_at IS NOT NULL THEN 'stopped'
            WHEN
                heartbeat_at > clock_timestamp() - make_interval(secs => CAST(:lease AS double precision))
                AND worker_id IN (SELECT locked.worker_id FROM locked)
                THEN 'live'
            ELSE 'dead'
        END AS state
    FROM worker
)
SELECT
    judged.worker_id,
    judged.state,
    judged.host,
    judged.pid,
    judged.stages,
    judged.concurrency,
    judged.started_at,
    judged.heartbeat_at,
    CAST(extract(EPOCH FROM clock_timestamp() - judged.heartbeat_at) AS double precision) AS heartbeat_age,
    judged.stopped_at,
    judged.code_version,
    coalesce(in_hand.rows, '{}') AS in_hand
FROM judged
LEFT JOIN in_hand USING (worker_id)
WHERE :everyone OR judged.state = 'live' OR in_hand.rows IS NOT NULL
ORDER BY judged.worker_id DESC
LIMIT 1000
