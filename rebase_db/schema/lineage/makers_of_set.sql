CREATE FUNCTION lineage.makers_of_set(of_set integer)
RETURNS TABLE (place integer, example_id bigint, maker_id bigint)
LANGUAGE sql STABLE STRICT PARALLEL SAFE ROWS 10000
BEGIN ATOMIC
    WITH RECURSIVE ancestry AS (
        SELECT member.position AS place, member.example_id, member.example_id AS maker_id
        FROM training_set_member AS member
        WHERE member.training_set_id = of_set
        UNION
        SELECT ancestry.place, ancestry.example_id, example_parent.parent_id
        FROM ancestry
        INNER JOIN example_parent ON example_parent.example_id = ancestry.maker_id
    )

    SELECT ancestry.place, ancestry.example_id, ancestry.maker_id FROM ancestry;
END;

COMMENT ON FUNCTION lineage.makers_of_set IS
'The examples that the members of a training set were made from, directly or through others, and each member itself: one
row a member and maker, with the place that the member has in the set.';
