-- Every retraction, newest first, with how many datasets whole and how many rows it covers.
SELECT
    retraction.retraction_id AS retraction,
    retraction.kind,
    retraction.target,
    retraction.mirrors,
    (SELECT count(*) FROM retracted_dataset WHERE retracted_dataset.retraction_id = retraction.retraction_id) AS datasets,
    (SELECT count(*) FROM retracted_row WHERE retracted_row.retraction_id = retraction.retraction_id) AS rows,
    CASE
        WHEN retraction.erased_at IS NOT NULL THEN 'erased'
        WHEN retraction.undone_at IS NOT NULL THEN 'undone'
        ELSE 'stands'
    END AS state,
    retraction.reason,
    retraction.asked_by,
    retraction.created_at,
    retraction.undone_at,
    retraction.undo_reason,
    retraction.erased_at
FROM retraction
ORDER BY retraction.retraction_id DESC
