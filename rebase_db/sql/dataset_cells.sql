-- The cells of runs of rows, packed as big-endian integers in (row, column) order: one row a run, in the order of the runs.
SELECT run.dataset_id, found.rows, found.columns, found.text_ids
FROM unnest(%(dataset_ids)s::integer[], %(firsts)s::integer[], %(lasts)s::integer[]) AS run (dataset_id, first_id, last_id)
CROSS JOIN LATERAL (
    SELECT
        string_agg(int4send(cell.row_id), '' ORDER BY cell.row_id, cell.column_id) AS rows,
        string_agg(int2send(cell.column_id), '' ORDER BY cell.row_id, cell.column_id) AS columns,
        string_agg(int4send(cell.text_id), '' ORDER BY cell.row_id, cell.column_id) AS text_ids
    FROM cell
    WHERE cell.dataset_id = run.dataset_id AND cell.row_id BETWEEN run.first_id AND run.last_id
) AS found
WHERE found.rows IS NOT NULL
