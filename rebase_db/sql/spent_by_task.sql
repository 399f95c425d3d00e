-- What a task's calls have taken so far, over all its versions: its teacher's and its judge's.
SELECT
    coalesce(sum(call.cost), 0) AS cost,
    coalesce(sum(coalesce(call.prompt_tokens, 0) + coalesce(call.completion_tokens, 0)), 0) AS tokens
FROM (
    SELECT generation.cost, generation.prompt_tokens, generation.completion_tokens
    FROM generation
    INNER JOIN retrieval_link USING (link_id)
    INNER JOIN task_version USING (task_version_id)
    WHERE task_version.task_id = :task_id
    UNION ALL
    SELECT judgement.cost, judgement.prompt_tokens, judgement.completion_tokens
    FROM judgement
    INNER JOIN example USING (example_id)
    INNER JOIN retrieval_link USING (link_id)
    INNER JOIN task_version USING (task_version_id)
    WHERE task_version.task_id = :task_id
) AS call
