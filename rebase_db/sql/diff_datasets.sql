-- The rows of two datasets, each as of one of its loads: those with equal content side by side, each of them once, and the others.
WITH there AS (
    SELECT
        source_row.dataset_id,
        source_row.row_id,
        source_row.content_hash,
        row_number() OVER (
            PARTITION BY source_row.dataset_id, source_row.content_hash ORDER BY source_row.row_id
        ) AS place
    FROM source_row
    LEFT JOIN removed_row USING (dataset_id, row_id)
    WHERE
        (
            source_row.dataset_id = :dataset_a
            AND source_row.ingest_id <= :load_a
            AND coalesce(removed_row.ingest_id > :load_a, true)
        )
        OR (
            source_row.dataset_id = :dataset_b
            AND source_row.ingest_id <= :load_b
            AND coalesce(removed_row.ingest_id > :load_b, true)
        )
)

SELECT a.row_id AS a, b.row_id AS b
FROM (SELECT * FROM there WHERE dataset_id = :dataset_a) AS a
FULL JOIN (SELECT * FROM there WHERE dataset_id = :dataset_b) AS b USING (content_hash, place)
ORDER BY a.row_id, b.row_id
