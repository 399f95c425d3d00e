CREATE VIEW lineage.judge_call AS
SELECT
    judgement.judgement_id,
    judgement.example_id,
    task.name AS task,
    task_version.version AS task_version,
    judgement.teacher_id,
    teacher.provider,
    teacher.model,
    judgement.prompt_id,
    prompt.name AS prompt,
    encode(judgement.prompt_hash, 'hex') AS prompt_hash,
    judgement.outcome,
    judgement.points,
    judgement.reason,
    judgement.raw_answer,
    judgement.prompt_tokens,
    judgement.completion_tokens,
    judgement.cost,
    judgement.maybe_billed,
    judgement.created_at,
    judgement.erased_by
FROM judgement
INNER JOIN example USING (example_id)
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
INNER JOIN teacher ON teacher.teacher_id = judgement.teacher_id
INNER JOIN prompt ON prompt.prompt_id = judgement.prompt_id;

COMMENT ON VIEW lineage.judge_call IS 'One row a call of a judge for an example, also one that failed.';
COMMENT ON COLUMN lineage.judge_call.points IS 'from 1 (does not fit the task) to 5 (fits)';
