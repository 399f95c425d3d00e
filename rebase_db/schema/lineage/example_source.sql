-- Read from the example; lineage.row_example has the same facts, read from the row.
CREATE VIEW lineage.example_source AS
SELECT
    example.example_id,
    CAST('own' AS text) AS kind,
    0 AS depth,
    example.example_id AS via_example_id,
    link.dataset_id,
    link.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    ingest_split.revision,
    dataset.licence,
    encode(source_row.content_hash, 'hex') AS row_hash,
    source_row.retracted_at
FROM example
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
INNER JOIN ingest_split USING (dataset_id, ingest_id, split_id)
UNION ALL
SELECT
    made.example_id,
    'parent' AS kind,
    above.depth,
    above.ancestor_id AS via_example_id,
    link.dataset_id,
    link.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    ingest_split.revision,
    dataset.licence,
    encode(source_row.content_hash, 'hex') AS row_hash,
    source_row.retracted_at
FROM example AS made
CROSS JOIN LATERAL lineage.ancestors_of(made.example_id) AS above
INNER JOIN example ON example.example_id = above.ancestor_id
INNER JOIN retrieval_link AS link ON link.link_id = example.link_id
INNER JOIN dataset USING (dataset_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
INNER JOIN ingest_split USING (dataset_id, ingest_id, split_id)
WHERE EXISTS (SELECT FROM example_parent WHERE example_parent.example_id = made.example_id);

COMMENT ON VIEW lineage.example_source IS
'One row an example and an example it rests on, which is itself or an earlier one it was made from: the row of that one.
Ask it by example; by row or dataset ask row_example.';
COMMENT ON COLUMN lineage.example_source.kind IS
'own: the row the example was made from; parent: the row of an earlier example';
COMMENT ON COLUMN lineage.example_source.depth IS 'steps to that earlier example; 0 for the own row';
COMMENT ON COLUMN lineage.example_source.via_example_id IS 'the example that was made from the row';
COMMENT ON COLUMN lineage.example_source.retracted_at IS 'since when a retraction that stands covers the row';
