-- Rows, links and texts that are not as the retractions on record left them: retracted since the oldest one that stands and
-- covers them; erased by one that was erased and covers them; and of an erased row each text gone that no other row has. What
-- was made of rows is erased by one that covers the row it was made of, or one further up; and an example of one is erased.
WITH RECURSIVE reached AS (
    SELECT retraction.retraction_id, example.example_id
    FROM retraction
    INNER JOIN retracted_row USING (retraction_id)
    INNER JOIN retrieval_link AS link USING (dataset_id, row_id)
    INNER JOIN example USING (link_id)
    WHERE retraction.erased_at IS NOT NULL
    UNION
    SELECT reached.retraction_id, child.example_id
    FROM reached
    INNER JOIN example_parent AS child ON child.parent_id = reached.example_id
),

-- All calls and events of a covered row's links are erased, and those of the attempts that made the examples.
covered_link AS (
    SELECT retraction.retraction_id, link.link_id
    FROM retraction
    INNER JOIN retracted_row USING (retraction_id)
    INNER JOIN retrieval_link AS link USING (dataset_id, row_id)
    WHERE retraction.erased_at IS NOT NULL
),

made_by AS (
    SELECT reached.retraction_id, generation.link_id, generation.attempt
    FROM reached
    INNER JOIN example USING (example_id)
    INNER JOIN generation USING (generation_id)
),

-- By sets that are hashed once: of a dataset that was erased there are many.
erased AS (
    SELECT
        'generation' AS record,
        jsonb_build_object('generation_id', generation_id) AS key,
        erased_by,
        (erased_by, link_id) IN (SELECT retraction_id, link_id FROM covered_link)
        OR (erased_by, link_id, attempt) IN (SELECT retraction_id, link_id, attempt FROM made_by) AS is_true
    FROM generation
    WHERE erased_by IS NOT NULL
    UNION ALL
    SELECT
        'event',
        jsonb_build_object('event_id', event_id),
        erased_by,
        queue = 'retrieval_link'
        AND (
            (erased_by, item_id) IN (SELECT retraction_id, link_id FROM covered_link)
            OR (erased_by, item_id, attempt) IN (SELECT retraction_id, link_id, attempt FROM made_by)
        )
    FROM event
    WHERE erased_by IS NOT NULL
    UNION ALL
    SELECT
        'example',
        jsonb_build_object('example_id', example_id),
        erased_by,
        (erased_by, example_id) IN (SELECT retraction_id, example_id FROM reached)
    FROM example
    WHERE erased_by IS NOT NULL
    UNION ALL
    SELECT
        'judgement',
        jsonb_build_object('judgement_id', judgement_id),
        erased_by,
        (erased_by, example_id) IN (SELECT retraction_id, example_id FROM reached)
    FROM judgement
    WHERE erased_by IS NOT NULL
    UNION ALL
    SELECT
        'check_result',
        jsonb_build_object('check_result_id', check_result_id),
        erased_by,
        (erased_by, example_id) IN (SELECT retraction_id, example_id FROM reached)
        OR (erased_by, other_example_id) IN (SELECT retraction_id, example_id FROM reached)
    FROM check_result
    WHERE erased_by IS NOT NULL
    UNION ALL
    SELECT
        'likely_source',
        jsonb_build_object(
            'published_example_id', published_example_id, 'dataset_id', dataset_id, 'row_id', row_id, 'method', method
        ),
        erased_by,
        (erased_by, dataset_id, row_id) IN (
            SELECT retraction.retraction_id, retracted_row.dataset_id, retracted_row.row_id
            FROM retraction
            INNER JOIN retracted_row USING (retraction_id)
            WHERE retraction.erased_at IS NOT NULL
        )
    FROM likely_source
    WHERE erased_by IS NOT NULL
),

covered AS (
    SELECT
        retracted_row.dataset_id,
        retracted_row.row_id,
        min(retraction.created_at) FILTER (WHERE retraction.undone_at IS NULL) AS since,
        array_agg(retraction.retraction_id) FILTER (WHERE retraction.erased_at IS NOT NULL) AS erasing
    FROM retracted_row
    INNER JOIN retraction USING (retraction_id)
    GROUP BY retracted_row.dataset_id, retracted_row.row_id
),

-- Of texts that erased rows have: by which retractions, and whether a row that stays has them too.
gone AS (
    SELECT
        cell.dataset_id,
        cell.text_id,
        array_agg(source_row.erased_by) AS erasing
    FROM source_row
    INNER JOIN cell USING (dataset_id, row_id)
    WHERE source_row.erased_by IS NOT NULL
    GROUP BY cell.dataset_id, cell.text_id
    UNION ALL
    SELECT dataset.dataset_id, dataset.description_text_id, array_agg(retraction.retraction_id)
    FROM dataset
    INNER JOIN retracted_dataset USING (dataset_id)
    INNER JOIN retraction USING (retraction_id)
    WHERE retraction.erased_at IS NOT NULL
    GROUP BY dataset.dataset_id
)

SELECT
    'source_row' AS record,
    jsonb_build_object('dataset_id', source_row.dataset_id, 'row_id', source_row.row_id) AS key,
    'retracted_at is not since when a retraction that stands covers it' AS what,
    covered.since::text AS expected,
    source_row.retracted_at::text AS found
FROM source_row
LEFT JOIN covered USING (dataset_id, row_id)
WHERE source_row.retracted_at IS DISTINCT FROM covered.since
UNION ALL
SELECT
    'source_row',
    jsonb_build_object('dataset_id', source_row.dataset_id, 'row_id', source_row.row_id),
    'erased_by is not a retraction that erased it',
    array_to_string(covered.erasing, ' or '),
    source_row.erased_by::text
FROM source_row
LEFT JOIN covered USING (dataset_id, row_id)
WHERE
    (source_row.erased_by IS NULL) <> (covered.erasing IS NULL)
    OR source_row.erased_by <> ALL (covered.erasing)
UNION ALL
SELECT
    'retrieval_link',
    jsonb_build_object('link_id', link.link_id),
    'retracted_at is not that of its row',
    source_row.retracted_at::text,
    link.retracted_at::text
FROM retrieval_link AS link
INNER JOIN source_row USING (dataset_id, row_id)
WHERE link.retracted_at IS DISTINCT FROM source_row.retracted_at
UNION ALL
SELECT
    'text',
    jsonb_build_object('dataset_id', text.dataset_id, 'text_id', text.text_id),
    'erased_by is not a retraction that erased all that has it',
    NULL,
    text.erased_by::text
FROM text
WHERE
    text.erased_by IS NOT NULL
    AND NOT EXISTS (
        SELECT
        FROM gone
        WHERE
            gone.dataset_id = text.dataset_id AND gone.text_id = text.text_id AND text.erased_by = ANY (gone.erasing)
    )
UNION ALL
SELECT
    'text',
    jsonb_build_object('dataset_id', text.dataset_id, 'text_id', text.text_id),
    'every row that has it is erased, but it is not',
    array_to_string(gone.erasing, ' or '),
    NULL
FROM gone
INNER JOIN text USING (dataset_id, text_id)
WHERE
    text.erased_by IS NULL
    AND NOT EXISTS (
        SELECT
        FROM cell
        INNER JOIN source_row USING (dataset_id, row_id)
        WHERE
            cell.dataset_id = text.dataset_id AND cell.text_id = text.text_id AND source_row.erased_by IS NULL
    )
    AND NOT EXISTS (
        SELECT
        FROM dataset
        WHERE
            dataset.dataset_id = text.dataset_id
            AND dataset.description_text_id = text.text_id
            AND NOT EXISTS (
                SELECT
                FROM retracted_dataset
                INNER JOIN retraction USING (retraction_id)
                WHERE retracted_dataset.dataset_id = dataset.dataset_id AND retraction.erased_at IS NOT NULL
            )
    )
UNION ALL
SELECT
    'retracted_dataset',
    jsonb_build_object('retraction_id', retraction.retraction_id, 'dataset_id', source_row.dataset_id),
    'the retraction stands, but does not cover row ' || source_row.row_id,
    NULL,
    NULL
FROM retraction
INNER JOIN retracted_dataset USING (retraction_id)
INNER JOIN source_row USING (dataset_id)
LEFT JOIN retracted_row
    ON retracted_row.retraction_id = retraction.retraction_id
    AND retracted_row.dataset_id = source_row.dataset_id
    AND retracted_row.row_id = source_row.row_id
WHERE retraction.undone_at IS NULL AND retracted_row.row_id IS NULL
UNION ALL
SELECT
    'retraction',
    jsonb_build_object('retraction_id', retraction.retraction_id),
    'it withdraws a dataset, but none is on record for it',
    NULL,
    NULL
FROM retraction
WHERE
    retraction.kind = 'dataset'
    AND NOT EXISTS (
        SELECT FROM retracted_dataset WHERE retracted_dataset.retraction_id = retraction.retraction_id
    )
UNION ALL
SELECT record, key, 'erased_by is not a retraction that erased what it was made of', NULL, erased_by::text
FROM erased
WHERE is_true IS NOT TRUE
UNION ALL
SELECT
    'example',
    jsonb_build_object('example_id', example.example_id),
    'what it was made of is erased, but it is not',
    min(reached.retraction_id)::text,
    NULL
FROM reached
INNER JOIN example USING (example_id)
WHERE example.erased_by IS NULL
GROUP BY example.example_id
