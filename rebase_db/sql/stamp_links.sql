-- Says the same of the links of covered rows; locked in order of their ids, as by everybody.
WITH found AS MATERIALIZED (
    SELECT link.link_id, source_row.retracted_at
    FROM covered_row
    INNER JOIN source_row ON source_row.dataset_id = covered_row.dataset_id AND source_row.row_id = covered_row.row_id
    INNER JOIN retrieval_link AS link ON link.dataset_id = covered_row.dataset_id AND link.row_id = covered_row.row_id
    WHERE link.retracted_at IS DISTINCT FROM source_row.retracted_at
    ORDER BY link.link_id
    FOR NO KEY UPDATE OF link
)
UPDATE retrieval_link AS link
SET retracted_at = found.retracted_at
FROM found
WHERE link.link_id = found.link_id
