-- Other rows with exactly the content of one row.
SELECT
    dataset.name AS dataset,
    mirror.row_id,
    mirror.source_index,
    concat('row:', dataset.name, ':', dataset_split.config, '/', dataset_split.split, ':', mirror.source_index) AS row
FROM source_row AS original
INNER JOIN source_row AS mirror
    ON mirror.content_hash = original.content_hash
    AND (mirror.dataset_id, mirror.row_id) <> (original.dataset_id, original.row_id)
INNER JOIN dataset ON dataset.dataset_id = mirror.dataset_id
INNER JOIN dataset_split ON dataset_split.dataset_id = mirror.dataset_id AND dataset_split.split_id = mirror.split_id
WHERE original.dataset_id = :dataset_id AND original.row_id = :row_id
ORDER BY mirror.dataset_id, mirror.row_id
