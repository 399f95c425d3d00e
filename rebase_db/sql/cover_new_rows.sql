-- Has the retractions that stand cover those rows of a load that are what a covered row has become, or a covered row that was
-- removed and comes back: nobody undoes a retraction by publishing the row again.
WITH follows AS (
    SELECT changed_row.row_id, changed_row.previous_row_id
    FROM changed_row
    WHERE changed_row.dataset_id = :dataset_id AND changed_row.row_id > :last_row_id
    UNION
    SELECT source_row.row_id, removed.row_id
    FROM retracted_row
    INNER JOIN source_row AS removed USING (dataset_id, row_id)
    INNER JOIN source_row
        ON source_row.content_hash = removed.content_hash
        AND source_row.dataset_id = removed.dataset_id
        AND source_row.split_id = removed.split_id
    WHERE
        retracted_row.dataset_id = :dataset_id AND removed.removed_at IS NOT NULL AND source_row.row_id > :last_row_id
),

covering AS (
    INSERT INTO retracted_row (retraction_id, dataset_id, row_id)
    SELECT DISTINCT retraction.retraction_id, retracted_row.dataset_id, follows.row_id
    FROM follows
    INNER JOIN retracted_row
        ON retracted_row.dataset_id = :dataset_id AND retracted_row.row_id = follows.previous_row_id
    INNER JOIN retraction ON retraction.retraction_id = retracted_row.retraction_id
    WHERE retraction.undone_at IS NULL
    RETURNING retraction_id, row_id
)

UPDATE source_row
SET retracted_at = standing.since
FROM (
    SELECT covering.row_id, min(retraction.created_at) AS since
    FROM covering
    INNER JOIN retraction USING (retraction_id)
    GROUP BY covering.row_id
) AS standing
WHERE source_row.dataset_id = :dataset_id AND source_row.row_id = standing.row_id
