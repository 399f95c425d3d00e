-- The licences behind some examples, through example parents too; null where a dataset states none.
WITH RECURSIVE ancestry AS (
    SELECT example.example_id, example.example_id AS maker_id
    FROM example
    WHERE example.example_id = ANY(:example_ids)
    UNION
    SELECT ancestry.example_id, example_parent.parent_id
    FROM ancestry
    INNER JOIN example_parent ON example_parent.example_id = ancestry.maker_id
)

SELECT DISTINCT ancestry.example_id, dataset.licence
FROM ancestry
INNER JOIN example ON example.example_id = ancestry.maker_id
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN dataset USING (dataset_id)
