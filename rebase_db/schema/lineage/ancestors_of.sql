CREATE FUNCTION lineage.ancestors_of(of_example bigint)
RETURNS TABLE (ancestor_id bigint, depth integer)
-- STRICT keeps it from being inlined: the planner then goes by ROWS instead of by its guess for a recursion.
LANGUAGE sql STABLE STRICT PARALLEL SAFE ROWS 5
BEGIN ATOMIC
    WITH RECURSIVE above (example_id, depth) AS (
        SELECT parent_id, 1 FROM example_parent WHERE example_parent.example_id = of_example
        UNION
        SELECT example_parent.parent_id, above.depth + 1
        FROM above
        INNER JOIN example_parent ON example_parent.example_id = above.example_id
    )

    SELECT above.example_id, min(above.depth) FROM above GROUP BY above.example_id;
END;

COMMENT ON FUNCTION lineage.ancestors_of IS
'The earlier examples that an example was made from, directly or through others: one row an ancestor, with the number of
steps of the shortest way to it.';
