-- Live rows whose content another live row has too, with a number per content: what `mirrors: first` thins out.
SELECT dataset_id, row_id, dense_rank() OVER (ORDER BY content_hash) AS mirror_group
FROM (
    SELECT dataset_id, row_id, content_hash, count(*) OVER (PARTITION BY content_hash) AS copies
    FROM source_row
    WHERE retracted_at IS NULL AND removed_at IS NULL
) AS counted
WHERE copies > 1
