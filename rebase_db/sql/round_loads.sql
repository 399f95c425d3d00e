-- What loads brought that a retrieval had not seen, by dataset: rows added, changed and gone, and those that were left out.
-- Without a retrieval, what all loads brought.
WITH numbered AS (
    SELECT
        ingest.dataset_id,
        ingest.ingest_id,
        ingest.finished_at,
        row_number() OVER (ORDER BY ingest.finished_at, ingest.dataset_id, ingest.ingest_id) AS place
    FROM ingest
    WHERE ingest.finished_at IS NOT NULL
),

unseen AS (
    SELECT numbered.dataset_id, numbered.ingest_id
    FROM numbered
    LEFT JOIN retrieval ON retrieval.retrieval_id = :retrieval_id
    WHERE
        retrieval.retrieval_id IS NULL
        OR CASE
            WHEN retrieval.loads_seen IS NULL THEN numbered.finished_at > retrieval.created_at
            ELSE numbered.place > retrieval.loads_seen
        END
),

changed AS (
    SELECT unseen.dataset_id, count(*) AS rows
    FROM unseen
    INNER JOIN source_row USING (dataset_id, ingest_id)
    INNER JOIN changed_row USING (dataset_id, row_id)
    GROUP BY unseen.dataset_id
),

gone AS (
    SELECT unseen.dataset_id, count(*) AS rows
    FROM unseen
    INNER JOIN removed_row USING (dataset_id, ingest_id)
    GROUP BY unseen.dataset_id
),

brought AS (
    SELECT unseen.dataset_id, sum(ingest_split.rows_added) AS rows, sum(ingest_split.rows_rejected) AS rejected
    FROM unseen
    INNER JOIN ingest_split USING (dataset_id, ingest_id)
    GROUP BY unseen.dataset_id
)

SELECT
    dataset.name AS dataset,
    CAST(brought.rows - coalesce(changed.rows, 0) AS bigint) AS added,
    CAST(coalesce(changed.rows, 0) AS bigint) AS changed,
    -- A changed row's predecessor is gone too, and is not counted twice.
    CAST(coalesce(gone.rows, 0) - coalesce(changed.rows, 0) AS bigint) AS removed,
    CAST(brought.rejected AS bigint) AS rejected
FROM brought
INNER JOIN dataset USING (dataset_id)
LEFT JOIN changed USING (dataset_id)
LEFT JOIN gone USING (dataset_id)
WHERE brought.rows > 0 OR gone.rows > 0 OR brought.rejected > 0
ORDER BY dataset.name
