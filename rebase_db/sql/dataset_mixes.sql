-- The members of a training set by the datasets behind them, through example parents too: each mix with its members.
WITH RECURSIVE ancestry AS (
    SELECT member.example_id, member.example_id AS maker_id
    FROM training_set_member AS member
    WHERE member.training_set_id = :training_set_id
    UNION
    SELECT ancestry.example_id, example_parent.parent_id
    FROM ancestry
    INNER JOIN example_parent ON example_parent.example_id = ancestry.maker_id
),

mix AS (
    SELECT ancestry.example_id, array_agg(DISTINCT link.dataset_id ORDER BY link.dataset_id) AS dataset_ids
    FROM ancestry
    INNER JOIN example ON example.example_id = ancestry.maker_id
    INNER JOIN retrieval_link AS link USING (link_id)
    GROUP BY ancestry.example_id
)

SELECT dataset_ids, count(*) AS examples
FROM mix
GROUP BY dataset_ids
ORDER BY dataset_ids
