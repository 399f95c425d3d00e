-- How long a teacher's answers for a task were and took so far, on average; null where it has given none.
SELECT
    avg(generation.completion_tokens) AS completion_tokens,
    avg(generation.latency_seconds) AS seconds
FROM generation
INNER JOIN retrieval_link USING (link_id)
WHERE
    retrieval_link.task_version_id = :task_version_id
    AND generation.teacher_id = :teacher_id
    AND generation.outcome <> 'error'
    AND generation.reused_from IS NULL
