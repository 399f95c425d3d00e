-- Of the errors of links of covered rows, and of those whose last attempt made another erased example, keeps the name before the
-- colon.
UPDATE retrieval_link AS link
SET error = CASE WHEN link.error ~ '^[a-z_]+(:|$)' THEN split_part(link.error, ':', 1) ELSE 'erased' END
FROM (
    SELECT own.link_id
    FROM covered_row
    INNER JOIN retrieval_link AS own ON own.dataset_id = covered_row.dataset_id AND own.row_id = covered_row.row_id
    UNION
    SELECT own.link_id
    FROM covered_example
    INNER JOIN generation ON generation.generation_id = covered_example.generation_id
    INNER JOIN retrieval_link AS own ON own.link_id = generation.link_id AND own.attempt = generation.attempt
) AS found
WHERE link.link_id = found.link_id AND link.error IS NOT NULL
