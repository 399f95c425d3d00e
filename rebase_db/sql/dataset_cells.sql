-- The cells of the live rows of every dataset, packed as big-endian integers in (row, column) order: one row a dataset.
SELECT
    cell.dataset_id,
    max(dataset.last_text_id) AS texts,
    string_agg(int4send(cell.row_id), '' ORDER BY cell.row_id, cell.column_id) AS rows,
    string_agg(int2send(cell.column_id), '' ORDER BY cell.row_id, cell.column_id) AS columns,
    string_agg(int4send(cell.text_id), '' ORDER BY cell.row_id, cell.column_id) AS text_ids
FROM cell
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset ON dataset.dataset_id = cell.dataset_id
WHERE source_row.retracted_at IS NULL
GROUP BY cell.dataset_id
ORDER BY cell.dataset_id
