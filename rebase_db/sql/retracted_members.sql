-- Members of a training set whose row is retracted, or the row of an example that they were made from, with the standing
-- retractions.
WITH RECURSIVE made_of AS (
    SELECT member.position, member.example_id, member.example_id AS source_id
    FROM training_set_member AS member
    WHERE member.training_set_id = :training_set_id
    UNION
    SELECT made_of.position, made_of.example_id, parent.parent_id
    FROM made_of
    INNER JOIN example_parent AS parent ON parent.example_id = made_of.source_id
)
SELECT made_of.position, made_of.example_id, array_agg(DISTINCT retraction.retraction_id) AS retractions
FROM made_of
INNER JOIN example ON example.example_id = made_of.source_id
INNER JOIN retrieval_link AS link ON link.link_id = example.link_id
INNER JOIN retracted_row ON retracted_row.dataset_id = link.dataset_id AND retracted_row.row_id = link.row_id
INNER JOIN retraction ON retraction.retraction_id = retracted_row.retraction_id
WHERE link.retracted_at IS NOT NULL AND retraction.undone_at IS NULL
GROUP BY made_of.position, made_of.example_id
ORDER BY made_of.position
