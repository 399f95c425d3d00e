-- The examples that an example was made from beside its row, and those that were made from it; one step each.
WITH family AS (
    SELECT 'parent' AS relation, parent_id AS example_id FROM example_parent WHERE example_id = :example_id
    UNION ALL
    SELECT 'child', example_id FROM example_parent WHERE parent_id = :example_id
)

SELECT
    family.relation,
    family.example_id,
    left(example.input, 200) AS input,
    concat('row:', dataset.name, ':', dataset_split.config, '/', dataset_split.split, ':', source_row.source_index) AS row
FROM family
INNER JOIN example USING (example_id)
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
ORDER BY family.relation DESC, family.example_id
