-- How many live rows with cells there are: those that a retrieval would score now.
SELECT count(*)
FROM source_row
WHERE
    retracted_at IS NULL
    AND removed_at IS NULL
    AND EXISTS (
        SELECT
        FROM cell
        WHERE cell.dataset_id = source_row.dataset_id AND cell.row_id = source_row.row_id
    )
