-- Every link that a task version has or had under an encoder, with the example of its last attempt, and whether it is in the
-- present ranking.
SELECT
    link.dataset_id,
    link.row_id,
    link.link_id,
    link.rank,
    link.score,
    link.displaced_by IS NULL AND link.retracted_at IS NULL AS present,
    link.state,
    link.error,
    example.example_id
FROM retrieval_link AS link
LEFT JOIN generation ON generation.link_id = link.link_id AND generation.attempt = link.attempt
LEFT JOIN example
    ON example.generation_id = generation.generation_id
    AND example.erased_by IS NULL
    AND link.state IN ('transformed', 'distilled', 'rejected')
WHERE link.task_version_id = :task_version_id AND link.encoder_id = :encoder_id
