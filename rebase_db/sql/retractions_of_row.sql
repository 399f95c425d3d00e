-- The retractions that cover a row, by itself or with its dataset, also those that were undone.
SELECT
    retraction_id,
    kind,
    target,
    reason,
    asked_by,
    created_at,
    undone_at,
    undo_reason,
    erased_at
FROM retraction
WHERE
    EXISTS (
        SELECT FROM retracted_row
        WHERE
            retracted_row.retraction_id = retraction.retraction_id
            AND retracted_row.dataset_id = :dataset_id
            AND retracted_row.row_id = :row_id
    )
    OR EXISTS (
        SELECT FROM retracted_dataset
        WHERE retracted_dataset.retraction_id = retraction.retraction_id AND retracted_dataset.dataset_id = :dataset_id
    )
ORDER BY retraction_id
