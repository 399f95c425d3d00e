-- Of each dataset how many rows it ever had, which are numbered from 1 without a gap, and which of them compete no more, packed
-- as big-endian integers in order: those that are retracted, and those that newer releases had no more.
SELECT
    dataset.dataset_id,
    dataset.last_row_id,
    coalesce(gone.row_ids, '') AS gone
FROM dataset
LEFT JOIN (
    SELECT dataset_id, string_agg(int4send(row_id), '' ORDER BY row_id) AS row_ids
    FROM source_row
    WHERE retracted_at IS NOT NULL OR removed_at IS NOT NULL
    GROUP BY dataset_id
) AS gone USING (dataset_id)
WHERE dataset.last_row_id > 0
ORDER BY dataset.dataset_id
