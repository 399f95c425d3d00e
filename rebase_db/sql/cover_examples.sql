-- The examples made of covered rows, by any attempt of any link, and those that were made from such examples.
INSERT INTO covered_example (example_id, link_id, generation_id)
WITH RECURSIVE made AS (
    SELECT example.example_id
    FROM covered_row
    INNER JOIN retrieval_link AS link ON link.dataset_id = covered_row.dataset_id AND link.row_id = covered_row.row_id
    INNER JOIN example ON example.link_id = link.link_id
    UNION
    SELECT child.example_id
    FROM made
    INNER JOIN example_parent AS child ON child.parent_id = made.example_id
)
SELECT example.example_id, example.link_id, example.generation_id
FROM made
INNER JOIN example ON example.example_id = made.example_id
