CREATE FUNCTION lineage.descendants_of(of_example bigint)
RETURNS TABLE (descendant_id bigint, depth integer)
LANGUAGE sql STABLE STRICT PARALLEL SAFE ROWS 5
BEGIN ATOMIC
    WITH RECURSIVE below (example_id, depth) AS (
        SELECT example_parent.example_id, 1 FROM example_parent WHERE example_parent.parent_id = of_example
        UNION
        SELECT example_parent.example_id, below.depth + 1
        FROM below
        INNER JOIN example_parent ON example_parent.parent_id = below.example_id
    )

    SELECT below.example_id, min(below.depth) FROM below GROUP BY below.example_id;
END;

COMMENT ON FUNCTION lineage.descendants_of IS
'The later examples that were made from an example, directly or through others: one row a descendant, with the number of
steps of the shortest way to it.';
