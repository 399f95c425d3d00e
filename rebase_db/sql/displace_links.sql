-- Links of this task version and encoder that are in the present ranking but not in the new one leave it; how many of which
-- dataset.
WITH displaced AS (
    UPDATE retrieval_link AS link
    SET displaced_by = :retrieval_id
    WHERE
        link.task_version_id = :task_version_id
        AND link.encoder_id = :encoder_id
        AND link.displaced_by IS NULL
        AND NOT EXISTS (
            SELECT FROM selection WHERE selection.dataset_id = link.dataset_id AND selection.row_id = link.row_id
        )
    RETURNING link.dataset_id
)

SELECT dataset_id, count(*)
FROM displaced
GROUP BY dataset_id
