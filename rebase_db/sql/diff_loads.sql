-- What became of the rows of a dataset between two of its loads: a row for each that was added, changed or removed, and one a
-- split that counts the others. Rows that went and came back in between are unchanged.
WITH RECURSIVE known AS (
    SELECT
        source_row.row_id,
        source_row.split_id,
        source_row.source_index,
        source_row.content_hash,
        source_row.ingest_id <= :before AND coalesce(removed_row.ingest_id > :before, true) AS was_there,
        source_row.ingest_id <= :after AND coalesce(removed_row.ingest_id > :after, true) AS is_there
    FROM source_row
    LEFT JOIN removed_row USING (dataset_id, row_id)
    WHERE source_row.dataset_id = :dataset_id
),

gone AS MATERIALIZED (
    SELECT
        *,
        row_number() OVER (PARTITION BY split_id, content_hash ORDER BY source_index, row_id) AS place
    FROM known
    WHERE was_there AND NOT is_there
),

come AS MATERIALIZED (
    SELECT
        *,
        row_number() OVER (PARTITION BY split_id, content_hash ORDER BY source_index, row_id) AS place
    FROM known
    WHERE is_there AND NOT was_there
),

back AS MATERIALIZED (
    SELECT gone.row_id AS before_id, come.row_id AS after_id, split_id
    FROM gone
    INNER JOIN come USING (split_id, content_hash, place)
),

stood_for AS (
    SELECT row_id AS after_id, row_id
    FROM come
    UNION ALL
    SELECT stood_for.after_id, changed_row.previous_row_id
    FROM stood_for
    INNER JOIN changed_row ON changed_row.dataset_id = :dataset_id AND changed_row.row_id = stood_for.row_id
),

changed AS MATERIALIZED (
    SELECT gone.row_id AS before_id, stood_for.after_id, gone.split_id
    FROM stood_for
    INNER JOIN gone USING (row_id)
    WHERE
        NOT EXISTS (SELECT FROM back WHERE back.before_id = gone.row_id)
        AND NOT EXISTS (SELECT FROM back WHERE back.after_id = stood_for.after_id)
),

found AS (
    SELECT 'changed' AS kind, split_id, before_id, after_id, 1 AS number FROM changed
    UNION ALL
    SELECT 'added', split_id, NULL, row_id, 1
    FROM come
    WHERE
        NOT EXISTS (SELECT FROM back WHERE back.after_id = come.row_id)
        AND NOT EXISTS (SELECT FROM changed WHERE changed.after_id = come.row_id)
    UNION ALL
    SELECT 'removed', split_id, row_id, NULL, 1
    FROM gone
    WHERE
        NOT EXISTS (SELECT FROM back WHERE back.before_id = gone.row_id)
        AND NOT EXISTS (SELECT FROM changed WHERE changed.before_id = gone.row_id)
    UNION ALL
    SELECT 'unchanged', split_id, NULL, NULL, count(*)
    FROM (
        SELECT split_id FROM known WHERE was_there AND is_there
        UNION ALL
        SELECT split_id FROM back
    ) AS stayed
    GROUP BY split_id
)

SELECT
    found.kind,
    dataset_split.config,
    dataset_split.split,
    found.before_id,
    found.after_id,
    found.number
FROM found
INNER JOIN dataset_split ON dataset_split.dataset_id = :dataset_id AND dataset_split.split_id = found.split_id
ORDER BY found.split_id, coalesce(found.after_id, found.before_id)
