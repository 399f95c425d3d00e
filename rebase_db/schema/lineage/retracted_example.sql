CREATE VIEW lineage.retracted_example AS
SELECT
    retraction.retraction_id,
    retraction.undone_at IS NULL AS standing,
    link.dataset_id,
    link.row_id,
    example.example_id AS via_example_id,
    example.example_id,
    0 AS depth
FROM retraction
INNER JOIN retracted_row USING (retraction_id)
INNER JOIN retrieval_link AS link USING (dataset_id, row_id)
INNER JOIN example USING (link_id)
UNION ALL
SELECT
    retraction.retraction_id,
    retraction.undone_at IS NULL AS standing,
    link.dataset_id,
    link.row_id,
    example.example_id AS via_example_id,
    below.descendant_id AS example_id,
    below.depth
FROM retraction
INNER JOIN retracted_row USING (retraction_id)
INNER JOIN retrieval_link AS link USING (dataset_id, row_id)
INNER JOIN example USING (link_id)
CROSS JOIN LATERAL lineage.descendants_of(example.example_id) AS below
WHERE EXISTS (SELECT FROM example_parent WHERE example_parent.parent_id = example.example_id);

COMMENT ON VIEW lineage.retracted_example IS
'One row a retraction, an example made from a row that it covers, and an example that one reached, which is itself or a
later one made from it.';
COMMENT ON COLUMN lineage.retracted_example.standing IS 'the retraction was not undone';
COMMENT ON COLUMN lineage.retracted_example.via_example_id IS 'the example that was made from the row';
COMMENT ON COLUMN lineage.retracted_example.depth IS
'steps from via_example_id to example_id; 0 where they are the same';
