-- The retractions that stand over rows behind a training set, with the members they concern.
WITH RECURSIVE ancestry AS (
    SELECT member.position, member.example_id, member.example_id AS maker_id
    FROM training_set_member AS member
    WHERE member.training_set_id = :training_set_id
    UNION
    SELECT ancestry.position, ancestry.example_id, example_parent.parent_id
    FROM ancestry
    INNER JOIN example_parent ON example_parent.example_id = ancestry.maker_id
)

SELECT
    retraction.retraction_id,
    retraction.kind,
    retraction.target,
    retraction.reason,
    retraction.created_at,
    retraction.erased_at,
    count(DISTINCT ancestry.example_id) AS examples
FROM ancestry
INNER JOIN example ON example.example_id = ancestry.maker_id
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN retracted_row USING (dataset_id, row_id)
INNER JOIN retraction USING (retraction_id)
WHERE retraction.undone_at IS NULL
GROUP BY retraction.retraction_id
ORDER BY retraction.retraction_id
