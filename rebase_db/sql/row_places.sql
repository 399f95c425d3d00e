-- Where some rows stand at their sources, by dataset and row id.
SELECT
    source_row.dataset_id,
    source_row.row_id,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index
FROM unnest(cast(:dataset_ids AS integer[]), cast(:row_ids AS integer[])) AS asked (dataset_id, row_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
