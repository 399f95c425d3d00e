-- Other rows with exactly the content of one row.
SELECT
    dataset.name AS dataset,
    mirror.row_id,
    mirror.source_index,
    described.reference AS row
FROM source_row AS original
INNER JOIN source_row AS mirror
    ON mirror.content_hash = original.content_hash
    AND (mirror.dataset_id, mirror.row_id) <> (original.dataset_id, original.row_id)
INNER JOIN dataset ON dataset.dataset_id = mirror.dataset_id
CROSS JOIN LATERAL lineage.describe('row', ARRAY[mirror.dataset_id || '/' || mirror.row_id]) AS described
WHERE original.dataset_id = :dataset_id AND original.row_id = :row_id
ORDER BY mirror.dataset_id, mirror.row_id
