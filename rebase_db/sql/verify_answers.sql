-- Gaps between a link, its calls and their examples: an example for each answer that could be read as one, the answer
-- behind each accepted link, the run behind each distilled one, the call behind each move that a call makes, the claim
-- behind each call, and the verdict behind each judgement.
SELECT
    'generation' AS record,
    jsonb_build_object('generation_id', generation.generation_id) AS key,
    CASE generation.outcome
        WHEN 'parsed' THEN 'its answer was read, but there is no example of it'
        ELSE 'there is an example of it, but its answer was not read'
    END AS what,
    NULL AS expected,
    generation.outcome AS found
FROM generation
LEFT JOIN example USING (generation_id)
WHERE (generation.outcome = 'parsed') <> (example.example_id IS NOT NULL)
UNION ALL
SELECT
    'generation',
    jsonb_build_object('generation_id', generation.generation_id),
    'its link was never claimed for attempt ' || generation.attempt,
    NULL,
    NULL
FROM generation
WHERE
    NOT EXISTS (
        SELECT
        FROM event
        WHERE
            event.queue = 'retrieval_link'
            AND event.item_id = generation.link_id
            AND event.attempt = generation.attempt
            AND event.event = 'claim'
    )
UNION ALL
SELECT
    'retrieval_link',
    jsonb_build_object('link_id', event.item_id),
    'there is no call of attempt ' || event.attempt || ', which ended in ' || event.event,
    NULL,
    NULL
FROM event
WHERE
    event.queue = 'retrieval_link'
    AND event.event IN ('done', 'reject')
    AND NOT EXISTS (
        SELECT FROM generation WHERE generation.link_id = event.item_id AND generation.attempt = event.attempt
    )
UNION ALL
SELECT
    'retrieval_link',
    jsonb_build_object('link_id', link.link_id),
    'it is accepted without an example of its last attempt',
    NULL,
    link.state
FROM retrieval_link AS link
LEFT JOIN generation
    ON generation.link_id = link.link_id AND generation.attempt = link.attempt AND generation.outcome = 'parsed'
WHERE link.state IN ('transformed', 'distilled') AND generation.generation_id IS NULL
UNION ALL
SELECT
    'retrieval_link',
    jsonb_build_object('link_id', link.link_id),
    'no finished run was trained on an example of it',
    NULL,
    link.state
FROM retrieval_link AS link
WHERE
    link.state = 'distilled'
    AND NOT EXISTS (
        SELECT
        FROM example
        INNER JOIN training_set_member USING (example_id)
        INNER JOIN training_run USING (training_set_id)
        WHERE example.link_id = link.link_id AND training_run.state = 'done'
    )
UNION ALL
SELECT
    'judgement',
    jsonb_build_object('judgement_id', judgement.judgement_id),
    'no verdict rests on it',
    NULL,
    NULL
FROM judgement
WHERE
    judgement.outcome = 'judged'
    AND NOT EXISTS (SELECT FROM check_result WHERE check_result.judgement_id = judgement.judgement_id)
