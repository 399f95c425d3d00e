-- The columns of some datasets in their order, each with its type in the newest load that had it.
SELECT DISTINCT ON (ingest_column.dataset_id, dataset_column.column_id)
    ingest_column.dataset_id,
    dataset_column.name,
    ingest_column.source_type
FROM ingest_column
INNER JOIN dataset_column USING (dataset_id, column_id)
WHERE ingest_column.dataset_id = ANY(:dataset_ids)
ORDER BY ingest_column.dataset_id, dataset_column.column_id, ingest_column.ingest_id DESC, ingest_column.split_id
