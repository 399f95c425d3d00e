CREATE VIEW lineage.retraction AS
SELECT
    retraction.retraction_id,
    retraction.kind,
    retraction.target,
    retraction.reason,
    retraction.mirrors,
    retraction.asked_by,
    retraction.created_at AS retracted_at,
    retraction.undone_at IS NULL AS standing,
    retraction.undone_at,
    retraction.undo_reason,
    retraction.erased_at,
    (SELECT count(*) FROM retracted_row WHERE retracted_row.retraction_id = retraction.retraction_id) AS rows
FROM retraction;

COMMENT ON VIEW lineage.retraction IS 'One row a retraction, also one that was undone.';
COMMENT ON COLUMN lineage.retraction.target IS 'what was named; of a text its SHA-256 in hex';
COMMENT ON COLUMN lineage.retraction.mirrors IS 'whether rows with the content of a named one are covered too';
COMMENT ON COLUMN lineage.retraction.standing IS 'it was not undone';
COMMENT ON COLUMN lineage.retraction.erased_at IS 'since when the words of its rows are gone';
COMMENT ON COLUMN lineage.retraction.rows IS 'rows that it covers';
