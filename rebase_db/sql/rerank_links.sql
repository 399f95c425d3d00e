-- Links that are in the new ranking already take their new place; displaced ones come back.
UPDATE retrieval_link AS link
SET rank = selection.rank, score = selection.score, displaced_by = NULL
FROM selection
WHERE
    link.task_version_id = :task_version_id
    AND link.encoder_id = :encoder_id
    AND link.dataset_id = selection.dataset_id
    AND link.row_id = selection.row_id
    AND (
        (link.rank, link.score) IS DISTINCT FROM (selection.rank, selection.score)
        OR link.displaced_by IS NOT NULL
    )
