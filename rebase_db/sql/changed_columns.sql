-- Columns of the splits that a load read which the load before did not have, those it has no more, and those it has as another
-- type or left out.
WITH load AS (
    SELECT
        split_id,
        ingest_id,
        (
            SELECT max(before.ingest_id)
            FROM ingest_split AS before
            WHERE
                before.dataset_id = ingest_split.dataset_id
                AND before.split_id = ingest_split.split_id
                AND before.ingest_id < ingest_split.ingest_id
        ) AS before_id
    FROM ingest_split
    WHERE dataset_id = :dataset_id AND ingest_id = :ingest_id
),

stated AS (
    SELECT
        load.split_id,
        ingest_column.column_id,
        ingest_column.ingest_id = load.ingest_id AS is_now,
        coalesce('left out: ' || ingest_column.left_out, ingest_column.source_type) AS kind
    FROM load
    INNER JOIN ingest_column
        ON ingest_column.dataset_id = :dataset_id
        AND ingest_column.split_id = load.split_id
        AND ingest_column.ingest_id IN (load.ingest_id, load.before_id)
    WHERE load.before_id IS NOT NULL
)

SELECT
    dataset_split.config,
    dataset_split.split,
    dataset_column.name,
    min(stated.kind) FILTER (WHERE NOT is_now) AS before,
    min(stated.kind) FILTER (WHERE is_now) AS after
FROM stated
INNER JOIN dataset_split ON dataset_split.dataset_id = :dataset_id AND dataset_split.split_id = stated.split_id
INNER JOIN dataset_column ON dataset_column.dataset_id = :dataset_id AND dataset_column.column_id = stated.column_id
GROUP BY stated.split_id, dataset_split.config, dataset_split.split, stated.column_id, dataset_column.name
HAVING
    min(stated.kind) FILTER (WHERE NOT is_now) IS DISTINCT FROM min(stated.kind) FILTER (WHERE is_now)
ORDER BY stated.split_id, stated.column_id
