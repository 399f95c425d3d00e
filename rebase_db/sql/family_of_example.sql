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
    described.reference AS row
FROM family
INNER JOIN example USING (example_id)
INNER JOIN retrieval_link AS link USING (link_id)
CROSS JOIN LATERAL lineage.describe('row', ARRAY[link.dataset_id || '/' || link.row_id]) AS described
ORDER BY family.relation DESC, family.example_id
