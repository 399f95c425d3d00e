-- Read from the row; lineage.example_source has the same facts, read from the example.
CREATE VIEW lineage.row_example AS
SELECT
    link.dataset_id,
    link.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    dataset.licence,
    source_row.retracted_at,
    link.link_id,
    example.example_id AS via_example_id,
    example.example_id,
    CAST('own' AS text) AS kind,
    0 AS depth
FROM dataset
INNER JOIN dataset_split USING (dataset_id)
INNER JOIN source_row USING (dataset_id, split_id)
INNER JOIN retrieval_link AS link USING (dataset_id, row_id)
INNER JOIN example USING (link_id)
UNION ALL
SELECT
    link.dataset_id,
    link.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    dataset.licence,
    source_row.retracted_at,
    link.link_id,
    example.example_id AS via_example_id,
    below.descendant_id AS example_id,
    'parent' AS kind,
    below.depth
FROM dataset
INNER JOIN dataset_split USING (dataset_id)
INNER JOIN source_row USING (dataset_id, split_id)
INNER JOIN retrieval_link AS link USING (dataset_id, row_id)
INNER JOIN example USING (link_id)
CROSS JOIN LATERAL lineage.descendants_of(example.example_id) AS below
WHERE EXISTS (SELECT FROM example_parent WHERE example_parent.parent_id = example.example_id);

COMMENT ON VIEW lineage.row_example IS
'One row an example made from a source row and an example it reached, which is itself or a later one made from it.
Ask it by row, dataset or licence; by example ask example_source.';
COMMENT ON COLUMN lineage.row_example.via_example_id IS 'the example that was made from the row';
COMMENT ON COLUMN lineage.row_example.kind IS 'own: example_id was made from the row; parent: from an example that was';
COMMENT ON COLUMN lineage.row_example.depth IS 'steps from via_example_id to example_id; 0 where they are the same';
COMMENT ON COLUMN lineage.row_example.retracted_at IS 'since when a retraction that stands covers the row';
