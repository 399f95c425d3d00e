-- What was asked of teachers and judges for a task since a time, and what it took.
SELECT
    count(*) FILTER (WHERE call.requests > 0) AS sent,
    count(*) FILTER (WHERE call.reused) AS reused,
    count(*) FILTER (WHERE call.judge) AS judgements,
    coalesce(sum(call.tokens), 0) AS tokens,
    sum(call.cost) AS cost
FROM (
    SELECT
        generation.requests,
        generation.reused_from IS NOT NULL AS reused,
        false AS judge,
        coalesce(generation.prompt_tokens, 0) + coalesce(generation.completion_tokens, 0) AS tokens,
        generation.cost
    FROM generation
    INNER JOIN retrieval_link USING (link_id)
    INNER JOIN task_version USING (task_version_id)
    INNER JOIN task USING (task_id)
    WHERE task.name = :task AND generation.created_at > :since
    UNION ALL
    SELECT
        judgement.requests,
        false,
        true,
        coalesce(judgement.prompt_tokens, 0) + coalesce(judgement.completion_tokens, 0),
        judgement.cost
    FROM judgement
    INNER JOIN example USING (example_id)
    INNER JOIN retrieval_link USING (link_id)
    INNER JOIN task_version USING (task_version_id)
    INNER JOIN task USING (task_id)
    WHERE task.name = :task AND judgement.created_at > :since
) AS call
