-- What loads are said to have brought, against what is there. New texts are numbered in the order of loads, so a load's
-- share is how far the highest number in use rose with it; the first text is the description.
WITH brought AS (
    SELECT
        source_row.dataset_id,
        source_row.ingest_id,
        source_row.split_id,
        cell.column_id,
        count(*) AS cells,
        max(cell.text_id) AS highest
    FROM source_row
    INNER JOIN cell USING (dataset_id, row_id)
    GROUP BY source_row.dataset_id, source_row.ingest_id, source_row.split_id, cell.column_id
),

risen AS (
    SELECT
        ingest.*,
        coalesce(sum(brought.cells), 0) AS cells,
        greatest(max(max(brought.highest)) OVER upto, 1) AS highest,
        row_number() OVER upto AS place
    FROM ingest
    LEFT JOIN brought USING (dataset_id, ingest_id)
    GROUP BY ingest.dataset_id, ingest.ingest_id
    WINDOW upto AS (PARTITION BY ingest.dataset_id ORDER BY ingest.ingest_id)
),

loads AS (
    SELECT
        risen.*,
        highest - coalesce(lag(highest) OVER (PARTITION BY dataset_id ORDER BY ingest_id), 0) AS texts
    FROM risen
),

splits AS (
    SELECT
        ingest_split.*,
        dataset_split.uri,
        (
            SELECT count(*)
            FROM source_row
            WHERE
                source_row.dataset_id = ingest_split.dataset_id
                AND source_row.ingest_id = ingest_split.ingest_id
                AND source_row.split_id = ingest_split.split_id
        ) AS added,
        (
            SELECT count(*)
            FROM ingest_rejection AS rejection
            WHERE
                rejection.dataset_id = ingest_split.dataset_id
                AND rejection.ingest_id = ingest_split.ingest_id
                AND rejection.split_id = ingest_split.split_id
        ) AS rejected,
        coalesce(
            sum(ingest_split.rows_added) OVER (
                PARTITION BY ingest_split.dataset_id, ingest_split.split_id
                ORDER BY ingest_split.ingest_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ),
            0
        ) AS before,
        ingest.match_by IS NOT NULL AND ingest_split.max_rows IS NULL AS is_matched,
        (
            SELECT count(*)
            FROM removed_row
            INNER JOIN source_row USING (dataset_id, row_id)
            WHERE
                removed_row.dataset_id = ingest_split.dataset_id
                AND removed_row.ingest_id <= ingest_split.ingest_id
                AND source_row.split_id = ingest_split.split_id
        ) AS removed,
        ingest_split.rows_added::bigint + ingest_split.rows_unchanged + ingest_split.rows_rejected AS read
    FROM ingest_split
    INNER JOIN ingest USING (dataset_id, ingest_id)
    LEFT JOIN dataset_split USING (dataset_id, split_id)
)

SELECT
    'dataset' AS record,
    jsonb_build_object('dataset_id', dataset.dataset_id) AS key,
    fault.what,
    fault.expected::text AS expected,
    fault.found::text AS found
FROM dataset
LEFT JOIN (
    SELECT dataset_id, count(*) AS number, max(row_id) AS highest FROM source_row GROUP BY dataset_id
) AS rows USING (dataset_id)
LEFT JOIN (
    SELECT dataset_id, count(*) AS number, max(text_id) AS highest FROM text GROUP BY dataset_id
) AS texts USING (dataset_id)
CROSS JOIN LATERAL (
    VALUES
    ('last_row_id is not the number of its rows', coalesce(rows.number, 0), dataset.last_row_id),
    ('last_row_id is not the highest of its rows', coalesce(rows.highest, 0), dataset.last_row_id),
    ('last_text_id is not the number of its texts', coalesce(texts.number, 0), dataset.last_text_id),
    ('last_text_id is not the highest of its texts', coalesce(texts.highest, 0), dataset.last_text_id)
) AS fault (what, expected, found)
WHERE fault.expected <> fault.found
UNION ALL
SELECT
    'ingest',
    jsonb_build_object('dataset_id', loads.dataset_id, 'ingest_id', loads.ingest_id),
    fault.what,
    fault.expected::text,
    fault.found::text
FROM loads
CROSS JOIN LATERAL (
    VALUES
    ('ingest_id leaves a gap', loads.place, loads.ingest_id),
    ('cells_added is not the number of the cells it brought', loads.cells, loads.cells_added),
    ('texts_added is not the number of the texts it brought', loads.texts, loads.texts_added)
) AS fault (what, expected, found)
WHERE fault.expected <> fault.found
UNION ALL
SELECT
    'ingest_split',
    jsonb_build_object('dataset_id', splits.dataset_id, 'ingest_id', splits.ingest_id, 'split_id', splits.split_id),
    fault.what,
    fault.expected::text,
    fault.found::text
FROM splits
CROSS JOIN LATERAL (
    VALUES
    ('rows_added is not the number of the rows it brought', splits.added, splits.rows_added),
    ('rows_rejected is not the number of its rejections', splits.rejected, splits.rows_rejected),
    ('rows_unchanged is not between none and all that were there', splits.before - splits.removed, splits.rows_unchanged),
    ('rows_unchanged is not all that were there and stayed', splits.before - splits.removed, splits.rows_unchanged),
    -- Of a split from a hub the number is what its owner states.
    (
        'rows_added, rows_unchanged and rows_rejected are not the rows that were read',
        least(splits.rows_in_source, splits.max_rows),
        splits.read
    )
) AS fault (what, expected, found)
WHERE
    CASE
        WHEN fault.what LIKE 'rows_unchanged%%stayed' THEN splits.is_matched AND fault.expected <> fault.found
        WHEN fault.what LIKE 'rows_unchanged%%' THEN fault.found NOT BETWEEN 0 AND fault.expected
        WHEN fault.what LIKE '%%read' THEN
            splits.rows_in_source IS NOT NULL AND splits.uri LIKE 'file:%%' AND fault.expected <> fault.found
        ELSE fault.expected <> fault.found
    END
UNION ALL
SELECT
    'ingest_column',
    jsonb_build_object(
        'dataset_id', brought.dataset_id,
        'ingest_id', brought.ingest_id,
        'split_id', brought.split_id,
        'column_id', brought.column_id
    ),
    'rows of the load have cells in a column that it is not said to have',
    NULL,
    ingest_column.left_out
FROM brought
LEFT JOIN ingest_column USING (dataset_id, ingest_id, split_id, column_id)
WHERE ingest_column.column_id IS NULL OR ingest_column.left_out IS NOT NULL
