-- Stores the rows that were numbered as copies; their content from the cells, for one that stands may be erased while its texts
-- are not, which other rows have.
INSERT INTO source_row (
    dataset_id, row_id, ingest_id, split_id, source_index, source_key, content, content_hash
)
SELECT
    :dataset_id,
    arrived_row.row_id,
    :ingest_id,
    arrived_row.split_id,
    arrived_row.source_index,
    arrived_row.source_key,
    coalesce(
        (
            SELECT jsonb_object_agg(dataset_column.name, text.text)
            FROM cell
            INNER JOIN dataset_column USING (dataset_id, column_id)
            INNER JOIN text USING (dataset_id, text_id)
            WHERE cell.dataset_id = :dataset_id AND cell.row_id = original.row_id
        ),
        '{}'
    ),
    arrived_row.content_hash
FROM arrived_row
CROSS JOIN LATERAL (
    SELECT min(standing_row.row_id) AS row_id
    FROM standing_row
    WHERE standing_row.content_hash = arrived_row.content_hash
) AS original
WHERE arrived_row.row_id > :last_row_id
