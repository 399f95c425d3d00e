-- Empties what events say of links of covered rows, and of the attempts that made other erased examples.
UPDATE event
SET detail = NULL, erased_by = :retraction_id
FROM (
    SELECT told.event_id
    FROM covered_row
    INNER JOIN retrieval_link AS link ON link.dataset_id = covered_row.dataset_id AND link.row_id = covered_row.row_id
    INNER JOIN event AS told ON told.queue = 'retrieval_link' AND told.item_id = link.link_id
    UNION
    SELECT told.event_id
    FROM covered_example
    INNER JOIN generation ON generation.generation_id = covered_example.generation_id
    INNER JOIN event AS told
        ON told.queue = 'retrieval_link' AND told.item_id = generation.link_id AND told.attempt = generation.attempt
) AS found
WHERE event.event_id = found.event_id AND event.detail IS NOT NULL AND event.erased_by IS NULL
