-- Of some examples those whose row is retracted, or the row of an example that they were made from.
WITH RECURSIVE made_of AS (
    SELECT asked.example_id, asked.example_id AS source_id
    FROM unnest(CAST(:example_ids AS bigint [])) AS asked (example_id)
    UNION
    SELECT made_of.example_id, parent.parent_id
    FROM made_of
    INNER JOIN example_parent AS parent ON parent.example_id = made_of.source_id
)
SELECT DISTINCT made_of.example_id
FROM made_of
INNER JOIN example ON example.example_id = made_of.source_id
INNER JOIN retrieval_link AS link ON link.link_id = example.link_id
WHERE link.retracted_at IS NOT NULL
