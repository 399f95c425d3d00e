-- The columns of each split as of a load: as the last one before it, or itself, that read the split had them.
SELECT
    dataset_split.config,
    dataset_split.split,
    dataset_column.name,
    coalesce('left out: ' || ingest_column.left_out, ingest_column.source_type) AS kind
FROM (
    SELECT split_id, max(ingest_id) AS ingest_id
    FROM ingest_split
    WHERE dataset_id = :dataset_id AND ingest_id <= :ingest_id
    GROUP BY split_id
) AS last
INNER JOIN ingest_column
    ON ingest_column.dataset_id = :dataset_id
    AND ingest_column.split_id = last.split_id
    AND ingest_column.ingest_id = last.ingest_id
INNER JOIN dataset_split ON dataset_split.dataset_id = :dataset_id AND dataset_split.split_id = last.split_id
INNER JOIN dataset_column ON dataset_column.dataset_id = :dataset_id AND dataset_column.column_id = ingest_column.column_id
ORDER BY last.split_id, ingest_column.position, ingest_column.column_id
