-- What a task's calls took, over all its versions, and what came of them: by dataset, by prompt, by teacher, and in all. An
-- example counts as accepted while its link is, and its row is not retracted: whatever its checks say now.
SELECT
    CASE grouping(dataset.name, prompt.name, teacher.teacher_id)
        WHEN 3 THEN 'dataset'
        WHEN 5 THEN 'prompt'
        WHEN 6 THEN 'teacher'
        ELSE 'all'
    END AS by,
    coalesce(dataset.name, prompt.name, min(teacher.provider || ' ' || teacher.model)) AS name,
    count(*) AS calls,
    count(*) FILTER (WHERE generation.reused_from IS NOT NULL) AS reused,
    count(*) FILTER (WHERE generation.outcome = 'error') AS errors,
    count(*) FILTER (WHERE generation.outcome = 'rejected') AS rejected_answers,
    count(*) FILTER (WHERE generation.outcome = 'parsed') AS examples,
    count(*) FILTER (
        WHERE
        generation.outcome = 'parsed'
        AND generation.attempt = link.attempt
        AND link.state IN ('transformed', 'distilled')
        AND link.retracted_at IS NULL
    ) AS accepted,
    coalesce(sum(generation.prompt_tokens), 0) AS prompt_tokens,
    coalesce(sum(generation.completion_tokens), 0) AS completion_tokens,
    sum(generation.cost) AS cost,
    sum(generation.cost) / nullif(count(*) FILTER (
        WHERE
        generation.outcome = 'parsed'
        AND generation.attempt = link.attempt
        AND link.state IN ('transformed', 'distilled')
        AND link.retracted_at IS NULL
    ), 0) AS cost_per_accepted
FROM generation
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN prompt USING (prompt_id)
INNER JOIN teacher USING (teacher_id)
WHERE task.name = :task
GROUP BY GROUPING SETS ((dataset.name), (prompt.name), (teacher.teacher_id), ())
ORDER BY grouping(dataset.name, prompt.name, teacher.teacher_id) DESC, calls DESC, name ASC
