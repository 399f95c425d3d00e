CREATE VIEW lineage.row_set AS
SELECT
    reached.dataset_id,
    reached.row_id,
    reached.dataset,
    reached.config,
    reached.split,
    reached.source_index,
    reached.licence,
    reached.retracted_at,
    reached.via_example_id,
    reached.example_id,
    reached.kind,
    reached.depth,
    training_set.training_set_id,
    training_set.name AS training_set,
    member.position
FROM lineage.row_example AS reached
INNER JOIN training_set_member AS member ON member.example_id = reached.example_id
INNER JOIN training_set ON training_set.training_set_id = member.training_set_id;

COMMENT ON VIEW lineage.row_set IS
'One row an example made from a source row, an example it reached, and a set with that one. Ask it by row, dataset or
licence; by set ask set_member.';
COMMENT ON COLUMN lineage.row_set.via_example_id IS 'the example that was made from the row';
COMMENT ON COLUMN lineage.row_set.example_id IS 'the example in the set: the same, or a later one made from it';
COMMENT ON COLUMN lineage.row_set.position IS 'place of example_id in the set, from 1';
