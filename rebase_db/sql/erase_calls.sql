-- Empties the answers to calls for links of covered rows, and to those that made other erased examples; of the reason why there is
-- no example, its name stays.
UPDATE generation AS call
SET
    raw_answer = NULL,
    failures = '{}',
    reason = CASE
        WHEN call.reason IS NULL THEN NULL
        WHEN call.reason ~ '^[a-z_]+(:|$)' THEN split_part(call.reason, ':', 1)
        ELSE 'erased'
    END,
    erased_by = :retraction_id
FROM (
    SELECT own.generation_id
    FROM covered_row
    INNER JOIN retrieval_link AS link ON link.dataset_id = covered_row.dataset_id AND link.row_id = covered_row.row_id
    INNER JOIN generation AS own ON own.link_id = link.link_id
    UNION
    SELECT covered_example.generation_id
    FROM covered_example
) AS found
WHERE call.generation_id = found.generation_id AND call.erased_by IS NULL
