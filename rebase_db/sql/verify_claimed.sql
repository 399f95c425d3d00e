-- Rows of queues that are not as their events left them: state, who holds them, attempts, the error and, to the hour, when
-- they were finished (the event has the very moment). A check that keeps an example out may have been replaced by another
-- without an event; then it is one that the example has failed. Where words were erased, of an error its first word is left.
WITH claimed AS (
    SELECT 'embed_chunk' AS queue, embed_chunk_id AS item_id, state, worker_id, attempt, error, finished_at
    FROM embed_chunk
    UNION ALL
    SELECT 'retrieval', retrieval_id, state, worker_id, attempt, error, finished_at FROM retrieval
    UNION ALL
    SELECT 'retrieval_link', link_id, state, worker_id, attempt, error, finished_at FROM retrieval_link
    UNION ALL
    SELECT 'training_run', training_run_id, state, worker_id, attempt, error, finished_at FROM training_run
),

path AS (
    SELECT
        queue,
        item_id,
        max(event_id) AS last,
        -- Those that set the error.
        max(event_id) FILTER (WHERE event NOT IN ('claim', 'distil')) AS said,
        max(event_id) FILTER (
            WHERE from_state <> ALL (%(finished)s::text[]) AND to_state = ANY (%(finished)s::text[])
        ) AS finished,
        count(*) FILTER (WHERE event = 'claim') AS claims
    FROM event
    GROUP BY queue, item_id
),

failed AS (
    SELECT DISTINCT generation.link_id, generation.attempt, check_definition.name || ': ' || %(failed_check)s AS error
    FROM check_result
    INNER JOIN check_definition USING (check_id)
    INNER JOIN example USING (example_id)
    INNER JOIN generation USING (generation_id)
    WHERE check_result.verdict = 'fail'
),

erased AS (
    SELECT link.link_id
    FROM retrieval_link AS link
    INNER JOIN source_row USING (dataset_id, row_id)
    WHERE source_row.erased_by IS NOT NULL
    UNION
    SELECT example.link_id
    FROM example
    WHERE example.erased_by IS NOT NULL
)

SELECT
    claimed.queue AS record,
    jsonb_build_object(
        CASE claimed.queue WHEN 'retrieval_link' THEN 'link_id' ELSE claimed.queue || '_id' END, claimed.item_id
    ) AS key,
    fault.what,
    fault.expected,
    fault.found
FROM claimed
LEFT JOIN path USING (queue, item_id)
LEFT JOIN event AS last ON last.event_id = path.last
LEFT JOIN event AS said ON said.event_id = path.said
LEFT JOIN event AS finished ON finished.event_id = path.finished
LEFT JOIN failed
    ON claimed.queue = 'retrieval_link'
    AND failed.link_id = claimed.item_id
    AND failed.attempt = claimed.attempt
    AND failed.error = claimed.error
LEFT JOIN erased ON claimed.queue = 'retrieval_link' AND erased.link_id = claimed.item_id
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN claimed.error ~ '^[a-z_]+$' AND erased.link_id IS NOT NULL THEN claimed.error
            WHEN said.event = 'cancel' THEN 'cancelled'
            WHEN said.event IN ('revive', 'pass_check') THEN NULL
            WHEN said.event IN ('fail_check', 'reject') AND failed.link_id IS NOT NULL THEN claimed.error
            WHEN said.event = 'fail_check' THEN 'a check that its example failed'
            ELSE said.detail
        END AS error
) AS known
CROSS JOIN LATERAL (
    VALUES
    (
        'state is not what its events say',
        coalesce(last.to_state, CASE claimed.queue WHEN 'retrieval_link' THEN 'retrieved' ELSE 'waiting' END),
        claimed.state
    ),
    ('attempt is not the number of its claims', coalesce(path.claims, 0)::text, claimed.attempt::text),
    (
        'worker_id is not who claimed it',
        CASE WHEN last.event = 'claim' THEN last.worker_id END::text,
        claimed.worker_id::text
    ),
    ('error is not what its events say', known.error, claimed.error),
    (
        'finished_at is not when its events say',
        CASE
            WHEN claimed.finished_at IS NULL THEN NULL
            WHEN claimed.finished_at BETWEEN finished.at - interval '1 hour' AND finished.at THEN claimed.finished_at
            ELSE finished.at
        END::text,
        claimed.finished_at::text
    )
) AS fault (what, expected, found)
WHERE fault.expected IS DISTINCT FROM fault.found
