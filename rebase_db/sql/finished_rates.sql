-- Rows finished a second, by stage and task, over the last :seconds or since the first event in them if that is less.
-- Which task a row is of is looked up for about 2,000 rows of each queue, which stand for the others: by hash, as ids may
-- come in a rhythm.
WITH recent AS MATERIALIZED (
    SELECT queue, item_id, event <> 'claim' AS finished, at
    FROM event
    WHERE
        at > statement_timestamp() - make_interval(secs => CAST(:seconds AS double precision))
        AND event IN ('claim', 'done', 'reject', 'fail')
),
steps AS (
    SELECT queue, count(*) / 4000 + 1 AS step FROM recent GROUP BY queue
),
sampled AS MATERIALIZED (
    SELECT recent.queue, recent.item_id, recent.finished, recent.at, steps.step
    FROM recent
    INNER JOIN steps USING (queue)
    WHERE hashint8(recent.item_id) % steps.step = 0
),
placed AS (
    SELECT 'embed' AS stage, CAST(NULL AS integer) AS task_version_id, sampled.*
    FROM sampled
    WHERE sampled.queue = 'embed_chunk'
    UNION ALL
    SELECT 'retrieve', retrieval.task_version_id, sampled.*
    FROM sampled
    INNER JOIN retrieval ON sampled.item_id = retrieval.retrieval_id
    WHERE sampled.queue = 'retrieval'
    UNION ALL
    SELECT 'transform', link.task_version_id, sampled.*
    FROM sampled
    -- With a LIMIT, so that links are found by key and never joined as a whole.
    CROSS JOIN LATERAL (
        SELECT task_version_id FROM retrieval_link WHERE link_id = sampled.item_id LIMIT 1
    ) AS link
    WHERE sampled.queue = 'retrieval_link'
    UNION ALL
    SELECT 'distill', training_set.task_version_id, sampled.*
    FROM sampled
    INNER JOIN training_run AS run ON sampled.item_id = run.training_run_id
    INNER JOIN training_set USING (training_set_id)
    WHERE sampled.queue = 'training_run'
)
SELECT
    placed.stage,
    coalesce(task.name, '') AS task,
    CAST(
        sum(placed.step) FILTER (WHERE placed.finished)
        / greatest(extract(EPOCH FROM statement_timestamp() - min(placed.at)), 1) AS double precision
    ) AS rate
FROM placed
LEFT JOIN task_version USING (task_version_id)
LEFT JOIN task USING (task_id)
GROUP BY placed.stage, task.name
HAVING count(*) FILTER (WHERE placed.finished) > 0
