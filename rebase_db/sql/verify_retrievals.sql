-- Retrievals whose counts are not what they left behind, and done ones without the query vectors they ranked by. Links that
-- a run displaced may have come back since, but not those that the newest one displaced.
WITH newest AS (
    SELECT task_version_id, encoder_id, max(retrieval_id) AS retrieval_id
    FROM retrieval
    WHERE state = 'done'
    GROUP BY task_version_id, encoder_id
),

left_behind AS (
    SELECT
        retrieval.*,
        newest.retrieval_id IS NOT NULL AS is_newest,
        (SELECT count(*) FROM retrieval_mirror AS mirror WHERE mirror.retrieval_id = retrieval.retrieval_id) AS mirrored,
        coalesce(entered.links, 0) AS entered,
        coalesce(displaced.links, 0) AS displaced
    FROM retrieval
    LEFT JOIN newest USING (retrieval_id)
    LEFT JOIN (
        SELECT entered_by AS retrieval_id, count(*) AS links FROM retrieval_link GROUP BY entered_by
    ) AS entered USING (retrieval_id)
    LEFT JOIN (
        SELECT displaced_by AS retrieval_id, count(*) AS links FROM retrieval_link GROUP BY displaced_by
    ) AS displaced USING (retrieval_id)
)

SELECT
    'retrieval' AS record,
    jsonb_build_object('retrieval_id', found_of.retrieval_id) AS key,
    fault.what,
    fault.expected::text AS expected,
    fault.found::text AS found
FROM left_behind AS found_of
CROSS JOIN LATERAL (
    VALUES
    ('rows_entered is not the number of the links it entered', found_of.entered, coalesce(found_of.rows_entered, 0)),
    (
        'mirrors_left_out is not the number of its mirrors',
        found_of.mirrored,
        coalesce(found_of.mirrors_left_out, 0)
    ),
    (
        'rows_displaced is not the number of the links it displaced',
        CASE
            WHEN found_of.is_newest THEN found_of.displaced
            ELSE greatest(found_of.displaced, found_of.rows_displaced)
        END,
        coalesce(found_of.rows_displaced, 0)
    )
) AS fault (what, expected, found)
WHERE fault.expected <> fault.found
UNION ALL
SELECT
    'task_vector',
    jsonb_build_object('task_version_id', retrieval.task_version_id, 'encoder_id', retrieval.encoder_id),
    'it is missing, though retrieval ' || max(retrieval.retrieval_id) || ' ranked by it',
    NULL,
    NULL
FROM retrieval
LEFT JOIN task_vector USING (task_version_id, encoder_id)
WHERE retrieval.state = 'done' AND task_vector.encoder_id IS NULL
GROUP BY retrieval.task_version_id, retrieval.encoder_id
UNION ALL
SELECT
    'retrieval_link',
    jsonb_build_object('link_id', link.link_id),
    'the retrieval that displaced it is not a finished one after that which entered it',
    NULL,
    link.displaced_by::text
FROM retrieval_link AS link
LEFT JOIN retrieval ON retrieval.retrieval_id = link.displaced_by
WHERE link.displaced_by IS NOT NULL AND (link.displaced_by <= link.entered_by OR retrieval.state IS DISTINCT FROM 'done')
