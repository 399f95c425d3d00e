-- Says of covered rows since when they are retracted: since the oldest retraction that stands and covers them, or not any more.
UPDATE source_row
SET retracted_at = standing.since
FROM (
    SELECT
        covered_row.dataset_id,
        covered_row.row_id,
        min(retraction.created_at) FILTER (WHERE retraction.undone_at IS NULL) AS since
    FROM covered_row
    INNER JOIN retracted_row
        ON retracted_row.dataset_id = covered_row.dataset_id AND retracted_row.row_id = covered_row.row_id
    INNER JOIN retraction ON retraction.retraction_id = retracted_row.retraction_id
    GROUP BY covered_row.dataset_id, covered_row.row_id
) AS standing
WHERE
    source_row.dataset_id = standing.dataset_id
    AND source_row.row_id = standing.row_id
    AND source_row.retracted_at IS DISTINCT FROM standing.since
