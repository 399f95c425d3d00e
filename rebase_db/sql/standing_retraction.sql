-- The retraction that stands for a target and covers all that the work table does, if there is one: asking again would change
-- nothing.
SELECT retraction.retraction_id, retraction.reason, retraction.created_at, retraction.erased_at
FROM retraction
WHERE
    retraction.kind = :kind
    AND retraction.target = :target
    AND (retraction.mirrors OR NOT :mirrors)
    AND retraction.undone_at IS NULL
    AND NOT EXISTS (
        SELECT
        FROM covered_row
        WHERE
            NOT EXISTS (
                SELECT
                FROM retracted_row
                WHERE
                    retracted_row.retraction_id = retraction.retraction_id
                    AND retracted_row.dataset_id = covered_row.dataset_id
                    AND retracted_row.row_id = covered_row.row_id
            )
    )
    AND NOT EXISTS (
        SELECT
        FROM unnest(CAST(:dataset_ids AS integer [])) AS asked (dataset_id)
        WHERE
            NOT EXISTS (
                SELECT
                FROM retracted_dataset
                WHERE
                    retracted_dataset.retraction_id = retraction.retraction_id
                    AND retracted_dataset.dataset_id = asked.dataset_id
            )
    )
ORDER BY retraction.retraction_id
LIMIT 1
