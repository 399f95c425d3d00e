CREATE VIEW lineage.retracted_row AS
SELECT
    retracted_row.retraction_id,
    retraction.kind,
    retraction.target,
    retraction.reason,
    retraction.created_at AS retracted_at,
    retraction.undone_at IS NULL AS standing,
    retracted_row.dataset_id,
    retracted_row.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    source_row.erased_by
FROM retracted_row
INNER JOIN retraction USING (retraction_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset_split USING (dataset_id, split_id);

COMMENT ON VIEW lineage.retracted_row IS 'One row a retraction and a source row that it covers.';
COMMENT ON COLUMN lineage.retracted_row.target IS 'what was named; of a text its SHA-256 in hex';
COMMENT ON COLUMN lineage.retracted_row.standing IS 'the retraction was not undone';
COMMENT ON COLUMN lineage.retracted_row.erased_by IS 'the retraction under which the row''s words were erased';
