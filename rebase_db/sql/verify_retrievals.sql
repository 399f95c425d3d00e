-- Retrievals whose counts, in all or of a dataset, are not what they left behind, rows with scores that no receipt has, and done
-- retrievals without the query vectors they ranked by. Links that a run displaced may have come back since, but not those that
-- the newest one displaced. Of retrievals from before there were receipts `loads_seen` is null.
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
),

receipts AS (
    SELECT
        retrieval_id,
        sum(entered) AS entered,
        sum(returned + kept) AS kept,
        sum(displaced) AS displaced
    FROM retrieval_dataset
    GROUP BY retrieval_id
),

touched AS (
    SELECT retrieval_id, dataset_id, sum(entered) AS entered, sum(displaced) AS displaced
    FROM (
        SELECT entered_by AS retrieval_id, dataset_id, 1 AS entered, 0 AS displaced FROM retrieval_link
        UNION ALL
        SELECT displaced_by, dataset_id, 0, 1 FROM retrieval_link WHERE displaced_by IS NOT NULL
    ) AS link
    GROUP BY retrieval_id, dataset_id
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
UNION ALL
SELECT
    'retrieval',
    jsonb_build_object('retrieval_id', retrieval.retrieval_id),
    fault.name || ' is not what it did to the datasets',
    fault.expected::text,
    fault.found::text
FROM retrieval
LEFT JOIN receipts USING (retrieval_id)
CROSS JOIN LATERAL (
    VALUES
    ('rows_entered', coalesce(receipts.entered, 0), retrieval.rows_entered),
    ('rows_kept', coalesce(receipts.kept, 0), retrieval.rows_kept),
    ('rows_displaced', coalesce(receipts.displaced, 0), retrieval.rows_displaced)
) AS fault (name, expected, found)
WHERE retrieval.state = 'done' AND retrieval.loads_seen IS NOT NULL AND fault.expected IS DISTINCT FROM fault.found
UNION ALL
SELECT
    'retrieval_dataset',
    jsonb_build_object('retrieval_id', part.retrieval_id, 'dataset_id', part.dataset_id),
    fault.what,
    fault.expected::text,
    fault.found::text
FROM retrieval_dataset AS part
INNER JOIN retrieval USING (retrieval_id)
LEFT JOIN newest USING (retrieval_id)
LEFT JOIN touched USING (retrieval_id, dataset_id)
CROSS JOIN LATERAL (
    VALUES
    ('entered is not the number of the links that entered', coalesce(touched.entered, 0), part.entered),
    (
        'displaced is not the number of the links that were displaced',
        CASE
            WHEN newest.retrieval_id IS NULL THEN greatest(coalesce(touched.displaced, 0), part.displaced)
            ELSE coalesce(touched.displaced, 0)
        END,
        part.displaced
    ),
    ('a number is negative', 0, least(part.ranked, part.scored, part.entered, part.returned, part.kept, part.displaced, 0)),
    ('its retrieval is not done', 0, CASE WHEN retrieval.state = 'done' THEN 0 ELSE 1 END)
) AS fault (what, expected, found)
WHERE fault.expected <> fault.found
UNION ALL
SELECT
    'row_score',
    jsonb_build_object(
        'task_version_id', stored.task_version_id, 'encoder_id', stored.encoder_id, 'dataset_id', stored.dataset_id
    ),
    'it has more rows than retrievals have scored',
    scored.rows_scored::text,
    cardinality(stored.row_ids)::text
FROM row_score AS stored
CROSS JOIN LATERAL (
    SELECT coalesce(sum(part.scored), 0) AS rows_scored
    FROM retrieval
    INNER JOIN retrieval_dataset AS part USING (retrieval_id)
    WHERE
        retrieval.task_version_id = stored.task_version_id
        AND retrieval.encoder_id = stored.encoder_id
        AND part.dataset_id = stored.dataset_id
) AS scored
WHERE
    cardinality(stored.row_ids) > scored.rows_scored
    AND NOT EXISTS (
        SELECT
        FROM retrieval
        WHERE
            retrieval.task_version_id = stored.task_version_id
            AND retrieval.encoder_id = stored.encoder_id
            AND retrieval.state = 'done'
            AND retrieval.loads_seen IS NULL
    )
