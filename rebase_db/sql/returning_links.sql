-- How many displaced links of which dataset the new ranking has again.
SELECT link.dataset_id, count(*)
FROM retrieval_link AS link
INNER JOIN selection ON selection.dataset_id = link.dataset_id AND selection.row_id = link.row_id
WHERE
    link.task_version_id = :task_version_id
    AND link.encoder_id = :encoder_id
    AND link.displaced_by IS NOT NULL
GROUP BY link.dataset_id
