-- The datasets with covered rows: how many of their rows, how many of these another retraction covers as well, and whether the
-- dataset is withdrawn whole.
SELECT
    dataset.name AS dataset,
    coalesce(dataset.licence, 'unknown') AS licence,
    found.rows,
    dataset.last_row_id AS rows_there,
    found.rows_retracted_otherwise,
    dataset.dataset_id = ANY(CAST(:dataset_ids AS integer [])) AS whole
FROM (
    SELECT
        covered_row.dataset_id,
        count(*) AS rows,
        count(*) FILTER (WHERE EXISTS (
            SELECT
            FROM retracted_row
            INNER JOIN retraction ON retraction.retraction_id = retracted_row.retraction_id
            WHERE
                retracted_row.dataset_id = covered_row.dataset_id
                AND retracted_row.row_id = covered_row.row_id
                AND retraction.undone_at IS NULL
                AND retraction.retraction_id IS DISTINCT FROM CAST(:retraction_id AS integer)
        )) AS rows_retracted_otherwise
    FROM covered_row
    GROUP BY covered_row.dataset_id
    UNION ALL
    SELECT empty.dataset_id, 0, 0
    FROM dataset AS empty
    WHERE empty.dataset_id = ANY(CAST(:dataset_ids AS integer [])) AND empty.last_row_id = 0
) AS found
INNER JOIN dataset ON dataset.dataset_id = found.dataset_id
ORDER BY found.rows DESC, dataset.name
