-- The cells of the live rows of every dataset, packed as big-endian integers in (row, column) order: one row a dataset.
-- Retracted rows are few, so leaving them out is cheaper than joining the others in.
SELECT
    cell.dataset_id,
    (SELECT dataset.last_text_id FROM dataset WHERE dataset.dataset_id = cell.dataset_id) AS texts,
    string_agg(int4send(cell.row_id), '' ORDER BY cell.row_id, cell.column_id) AS rows,
    string_agg(int2send(cell.column_id), '' ORDER BY cell.row_id, cell.column_id) AS columns,
    string_agg(int4send(cell.text_id), '' ORDER BY cell.row_id, cell.column_id) AS text_ids
FROM cell
WHERE
    NOT EXISTS (
        SELECT
        FROM source_row
        WHERE
            source_row.dataset_id = cell.dataset_id
            AND source_row.row_id = cell.row_id
            AND source_row.retracted_at IS NOT NULL
    )
GROUP BY cell.dataset_id
ORDER BY cell.dataset_id
