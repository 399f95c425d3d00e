-- The examples of a task's present ranking, best ranked first: of each link the one of its last attempt, also where a check
-- keeps it out.
SELECT
    example.example_id,
    link.link_id,
    link.rank,
    link.state,
    example.input,
    example.output,
    example.rationale,
    link.error
FROM retrieval_link AS link
INNER JOIN generation ON generation.link_id = link.link_id AND generation.attempt = link.attempt
INNER JOIN example USING (generation_id)
WHERE
    link.task_version_id = :task_version_id
    AND link.encoder_id = :encoder_id
    AND link.displaced_by IS NULL
    AND link.retracted_at IS NULL
    AND example.erased_by IS NULL
    AND link.state IN ('transformed', 'distilled', 'rejected')
ORDER BY link.rank, example.example_id
