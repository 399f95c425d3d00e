-- Rows that arrived and rows that stand with the same content: those at the same place, then what is left over in order.
INSERT INTO matched_row (split_id, source_index, row_id, same)
WITH in_place AS MATERIALIZED (
    SELECT DISTINCT ON (split_id, source_index)
        split_id,
        source_index,
        standing_row.row_id
    FROM arrived_row
    INNER JOIN standing_row USING (split_id, source_index, content_hash)
    ORDER BY split_id, source_index, standing_row.row_id
),

arrived AS (
    SELECT
        split_id,
        content_hash,
        source_index,
        row_number() OVER (PARTITION BY split_id, content_hash ORDER BY source_index) AS place
    FROM arrived_row
    WHERE
        row_id IS NULL
        AND NOT EXISTS (
            SELECT FROM in_place
            WHERE in_place.split_id = arrived_row.split_id AND in_place.source_index = arrived_row.source_index
        )
),

standing AS (
    SELECT
        split_id,
        content_hash,
        row_id,
        row_number() OVER (PARTITION BY split_id, content_hash ORDER BY source_index, row_id) AS place
    FROM standing_row
    WHERE NOT EXISTS (SELECT FROM in_place WHERE in_place.row_id = standing_row.row_id)
)

SELECT split_id, source_index, row_id, true FROM in_place
UNION ALL
SELECT split_id, arrived.source_index, standing.row_id, true
FROM arrived
INNER JOIN standing USING (split_id, content_hash, place)
