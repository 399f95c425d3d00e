-- As lineage.row_example without the row's place, so that a whole dataset is counted without reading its rows.
CREATE VIEW lineage.dataset_example AS
SELECT
    dataset.dataset_id,
    dataset.name AS dataset,
    dataset.licence,
    link.row_id,
    link.retracted_at,
    example.example_id AS via_example_id,
    example.example_id,
    0 AS depth
FROM dataset
INNER JOIN retrieval_link AS link USING (dataset_id)
INNER JOIN example USING (link_id)
UNION ALL
SELECT
    dataset.dataset_id,
    dataset.name AS dataset,
    dataset.licence,
    link.row_id,
    link.retracted_at,
    example.example_id AS via_example_id,
    below.descendant_id AS example_id,
    below.depth
FROM dataset
INNER JOIN retrieval_link AS link USING (dataset_id)
INNER JOIN example USING (link_id)
CROSS JOIN LATERAL lineage.descendants_of(example.example_id) AS below
WHERE EXISTS (SELECT FROM example_parent WHERE example_parent.parent_id = example.example_id);

COMMENT ON VIEW lineage.dataset_example IS
'As row_example, without the row''s place at its source: to count what came of a whole dataset or licence.';
COMMENT ON COLUMN lineage.dataset_example.via_example_id IS 'the example that was made from the row';
COMMENT ON COLUMN lineage.dataset_example.depth IS 'steps from via_example_id to example_id; 0 where they are the same';
COMMENT ON COLUMN lineage.dataset_example.retracted_at IS 'since when a retraction that stands covers the row';
