-- What later loads found of a row: that its source has it no more, or has another in its place, and which it was before itself.
SELECT
    removed_row.ingest_id AS removed_by,
    source_row.removed_at,
    became.row_id AS became_row_id,
    later.reference AS became,
    later_row.content AS became_content,
    later_row.erased_by AS became_erased_by,
    earlier.reference AS previous
FROM source_row
LEFT JOIN removed_row USING (dataset_id, row_id)
LEFT JOIN changed_row AS became
    ON became.dataset_id = source_row.dataset_id AND became.previous_row_id = source_row.row_id
LEFT JOIN source_row AS later_row
    ON later_row.dataset_id = became.dataset_id AND later_row.row_id = became.row_id
LEFT JOIN changed_row ON changed_row.dataset_id = source_row.dataset_id AND changed_row.row_id = source_row.row_id
-- Not asked where there is nothing to describe, which is nearly always.
LEFT JOIN LATERAL (
    SELECT reference
    FROM lineage.describe('row', ARRAY[became.dataset_id || '/' || became.row_id])
    WHERE became.row_id IS NOT NULL
) AS later ON true
LEFT JOIN LATERAL (
    SELECT reference
    FROM lineage.describe('row', ARRAY[changed_row.dataset_id || '/' || changed_row.previous_row_id])
    WHERE changed_row.row_id IS NOT NULL
) AS earlier ON true
WHERE source_row.dataset_id = :dataset_id AND source_row.row_id = :row_id
