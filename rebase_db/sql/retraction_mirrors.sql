-- Rows that stay although they have the content of a covered one, by dataset.
SELECT
    dataset.name AS dataset,
    coalesce(dataset.licence, 'unknown') AS licence,
    count(DISTINCT (mirror.dataset_id, mirror.row_id)) AS rows
FROM covered_row
INNER JOIN source_row ON source_row.dataset_id = covered_row.dataset_id AND source_row.row_id = covered_row.row_id
INNER JOIN source_row AS mirror ON mirror.content_hash = source_row.content_hash
INNER JOIN dataset ON dataset.dataset_id = mirror.dataset_id
WHERE
    mirror.retracted_at IS NULL
    AND NOT EXISTS (
        SELECT
        FROM covered_row AS own
        WHERE own.dataset_id = mirror.dataset_id AND own.row_id = mirror.row_id
    )
GROUP BY dataset.name, dataset.licence
ORDER BY rows DESC, dataset.name
