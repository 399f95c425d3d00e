-- Which rows this run left out because a better ranked row has the same content, and for which link.
INSERT INTO retrieval_mirror (retrieval_id, dataset_id, row_id, kept_link_id)
SELECT :retrieval_id, left_out.dataset_id, left_out.row_id, link.link_id
FROM left_out
INNER JOIN retrieval_link AS link
    ON link.task_version_id = :task_version_id
    AND link.encoder_id = :encoder_id
    AND link.dataset_id = left_out.kept_dataset_id
    AND link.row_id = left_out.kept_row_id
