-- Of covered rows, keeps the hash of each text and its column.
UPDATE source_row
SET
    content = coalesce(
        (
            SELECT jsonb_object_agg(cell.key, encode(sha256(convert_to(cell.value, 'UTF8')), 'hex'))
            FROM jsonb_each_text(source_row.content) AS cell
        ),
        '{}'
    ),
    erased_by = :retraction_id
FROM covered_row
WHERE
    source_row.dataset_id = covered_row.dataset_id
    AND source_row.row_id = covered_row.row_id
    AND source_row.erased_by IS NULL
