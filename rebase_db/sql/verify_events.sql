-- Moves that break a row's path: each begins where the one before ended, is a legal one, and a claim alone counts an
-- attempt. Rows come from their queue's ready state. And moves of rows or by workers that are not there.
WITH legal AS (
    SELECT *
    FROM unnest(%(queues)s::text[], %(befores)s::text[], %(events)s::text[], %(afters)s::text[])
        AS legal (queue, from_state, event, to_state)
),

step AS (
    SELECT
        event.*,
        coalesce(lag(to_state) OVER path, CASE queue WHEN 'retrieval_link' THEN 'retrieved' ELSE 'waiting' END) AS came_to,
        coalesce(lag(attempt) OVER path, 0) AS tried
    FROM event
    WINDOW path AS (PARTITION BY queue, item_id ORDER BY event_id)
)

SELECT
    'event' AS record,
    jsonb_build_object('event_id', step.event_id) AS key,
    fault.what || ' (' || step.queue || ' ' || step.item_id || ')' AS what,
    fault.expected,
    fault.found
FROM step
LEFT JOIN legal USING (queue, from_state, event)
CROSS JOIN LATERAL (
    VALUES
    ('it does not begin where the one before ended', step.came_to, step.from_state),
    (step.event || ' from ' || step.from_state || ' is no such move', coalesce(legal.to_state, 'none'), step.to_state),
    ('its attempt does not follow', (step.tried + (step.event = 'claim')::integer)::text, step.attempt::text)
) AS fault (what, expected, found)
WHERE fault.expected IS DISTINCT FROM fault.found
UNION ALL
SELECT
    'event',
    jsonb_build_object('event_id', event.event_id),
    CASE
        WHEN event.worker_id IS NOT NULL AND worker.worker_id IS NULL THEN 'there is no worker ' || event.worker_id
        ELSE 'there is no ' || event.queue || ' ' || event.item_id
    END,
    NULL,
    NULL
FROM event
LEFT JOIN worker ON worker.worker_id = event.worker_id
LEFT JOIN embed_chunk ON event.queue = 'embed_chunk' AND embed_chunk.embed_chunk_id = event.item_id
LEFT JOIN retrieval ON event.queue = 'retrieval' AND retrieval.retrieval_id = event.item_id
LEFT JOIN retrieval_link ON event.queue = 'retrieval_link' AND retrieval_link.link_id = event.item_id
LEFT JOIN training_run ON event.queue = 'training_run' AND training_run.training_run_id = event.item_id
WHERE
    event.worker_id IS NOT NULL AND worker.worker_id IS NULL
    OR coalesce(
        embed_chunk.embed_chunk_id, retrieval.retrieval_id, retrieval_link.link_id, training_run.training_run_id
    ) IS NULL
