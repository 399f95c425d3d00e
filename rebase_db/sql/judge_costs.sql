-- What a task's judges took, over all its versions.
SELECT
    teacher.provider || ' ' || teacher.model AS name,
    count(*) AS calls,
    count(*) FILTER (WHERE judgement.outcome = 'judged') AS judged,
    coalesce(sum(judgement.prompt_tokens), 0) AS prompt_tokens,
    coalesce(sum(judgement.completion_tokens), 0) AS completion_tokens,
    sum(judgement.cost) AS cost
FROM judgement
INNER JOIN example USING (example_id)
INNER JOIN retrieval_link USING (link_id)
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
INNER JOIN teacher USING (teacher_id)
WHERE task.name = :task
GROUP BY teacher.teacher_id
ORDER BY name
