CREATE VIEW lineage.call AS
SELECT
    generation.generation_id,
    generation.link_id,
    generation.attempt,
    example.example_id,
    task.name AS task,
    task_version.version AS task_version,
    dataset.name AS dataset,
    link.dataset_id,
    link.row_id,
    generation.teacher_id,
    teacher.provider,
    teacher.model,
    generation.prompt_id,
    prompt.name AS prompt,
    encode(generation.prompt_hash, 'hex') AS prompt_hash,
    generation.outcome,
    generation.reason,
    generation.reading,
    generation.cuts,
    coalesce(generation.raw_answer, asked.raw_answer) AS raw_answer,
    generation.reused_from,
    generation.finish_reason,
    generation.prompt_tokens,
    generation.completion_tokens,
    generation.cost,
    generation.latency_seconds,
    generation.requests,
    generation.maybe_billed,
    worker.code_version,
    generation.created_at,
    generation.erased_by
FROM generation
-- Early, so that the planner can start with it: it leaves alone what comes after the eighth table.
LEFT JOIN example ON example.generation_id = generation.generation_id
INNER JOIN retrieval_link AS link ON link.link_id = generation.link_id
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN teacher USING (teacher_id)
INNER JOIN prompt USING (prompt_id)
INNER JOIN worker ON worker.worker_id = generation.worker_id
-- The call that was paid, where its answer was used again.
LEFT JOIN generation AS asked ON asked.generation_id = generation.reused_from;

COMMENT ON VIEW lineage.call IS 'One row a call of a teacher for a source row, also one that failed.';
COMMENT ON COLUMN lineage.call.example_id IS 'what came of it; null where the answer was no example';
COMMENT ON COLUMN lineage.call.prompt IS 'name of the template';
COMMENT ON COLUMN lineage.call.prompt_hash IS 'SHA-256 of the prompt as it was sent, in hex';
COMMENT ON COLUMN lineage.call.outcome IS 'parsed, rejected (an answer that was no example) or error (no answer)';
COMMENT ON COLUMN lineage.call.reason IS 'why there is no example: a name, a colon, what was seen';
COMMENT ON COLUMN lineage.call.reading IS 'how the example was found in the answer';
COMMENT ON COLUMN lineage.call.cuts IS 'cells shortened for the prompt: characters kept and characters there';
COMMENT ON COLUMN lineage.call.reused_from IS
'the call whose answer was used again; tokens and cost stand there only';
COMMENT ON COLUMN lineage.call.cost IS 'null where the teacher has no prices, or nothing was sent';
COMMENT ON COLUMN lineage.call.maybe_billed IS 'nobody knows whether the server did the work';
