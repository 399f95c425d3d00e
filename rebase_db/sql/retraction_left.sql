-- Of some training sets, how many members have nothing retracted, and with `covered_too` nothing covered either, in their own row
-- or in those of the examples that they were made from.
WITH RECURSIVE made_of AS (
    SELECT member.training_set_id, member.example_id, member.example_id AS source_id
    FROM training_set_member AS member
    WHERE member.training_set_id = ANY(CAST(:training_set_ids AS integer []))
    UNION
    SELECT made_of.training_set_id, made_of.example_id, parent.parent_id
    FROM made_of
    INNER JOIN example_parent AS parent ON parent.example_id = made_of.source_id
)
SELECT
    training_set.training_set_id,
    training_set.size,
    training_set.size - count(gone.example_id) AS members_left
FROM training_set
LEFT JOIN (
    SELECT DISTINCT made_of.training_set_id, made_of.example_id
    FROM made_of
    INNER JOIN example ON example.example_id = made_of.source_id
    INNER JOIN retrieval_link AS link ON link.link_id = example.link_id
    LEFT JOIN covered_example ON covered_example.example_id = example.example_id
    WHERE link.retracted_at IS NOT NULL OR (:covered_too AND covered_example.example_id IS NOT NULL)
) AS gone ON gone.training_set_id = training_set.training_set_id
WHERE training_set.training_set_id = ANY(CAST(:training_set_ids AS integer []))
GROUP BY training_set.training_set_id
