-- Writes what became of links: a call for each answer, an example for each that could be read as one, and what checks said of
-- the example. In one statement, because it runs for every few answers. The task's row is locked against a budget that is
-- just being set, see `budget.set_budget`.
WITH answer AS (
    SELECT *
    FROM unnest(
        %(link_ids)s::bigint[],
        %(attempts)s::smallint[],
        %(prompt_hashes)s::bytea[],
        %(raw_answers)s::text[],
        %(finish_reasons)s::text[],
        %(response_forms)s::text[],
        %(prompt_tokens)s::integer[],
        %(completion_tokens)s::integer[],
        %(costs)s::numeric[],
        %(latencies)s::real[],
        %(requests)s::smallint[],
        %(failures)s::jsonb[],
        %(maybe_billed)s::boolean[],
        %(outcomes)s::text[],
        %(reasons)s::text[],
        %(readings)s::text[],
        %(cuts)s::jsonb[],
        %(reused_from)s::bigint[],
        %(inputs)s::text[],
        %(outputs)s::text[],
        %(rationales)s::text[],
        %(content_hashes)s::bytea[]
    ) AS answer (
        link_id, attempt, prompt_hash, raw_answer, finish_reason, response_form, prompt_tokens, completion_tokens, cost,
        latency_seconds, requests, failures, maybe_billed, outcome, reason, reading, cuts, reused_from, input, output,
        rationale, content_hash
    )
),

task_locked AS (
    SELECT task.task_id
    FROM task
    INNER JOIN task_version USING (task_id)
    WHERE task_version.task_version_id = %(task_version_id)s
    FOR KEY SHARE OF task
),

called AS (
    INSERT INTO generation (
        link_id, attempt, teacher_id, prompt_id, worker_id, prompt_hash, raw_answer, finish_reason, response_form,
        prompt_tokens, completion_tokens, cost, latency_seconds, requests, failures, maybe_billed, outcome, reason,
        reading, cuts, reused_from
    )
    SELECT
        answer.link_id,
        answer.attempt,
        %(teacher_id)s,
        %(prompt_id)s,
        %(worker_id)s,
        answer.prompt_hash,
        answer.raw_answer,
        answer.finish_reason,
        answer.response_form,
        answer.prompt_tokens,
        answer.completion_tokens,
        answer.cost,
        answer.latency_seconds,
        answer.requests,
        ARRAY(SELECT jsonb_array_elements_text(answer.failures)),
        answer.maybe_billed,
        answer.outcome,
        answer.reason,
        answer.reading,
        answer.cuts,
        answer.reused_from
    FROM answer
    CROSS JOIN task_locked
    RETURNING link_id, generation_id
),

made AS (
    INSERT INTO example (generation_id, link_id, input, output, rationale, content_hash)
    SELECT
        called.generation_id, answer.link_id, answer.input, answer.output, answer.rationale, answer.content_hash
    FROM called
    INNER JOIN answer USING (link_id)
    WHERE answer.input IS NOT NULL
    RETURNING link_id, example_id
),

checked AS (
    INSERT INTO check_result (example_id, check_id, verdict, score, evidence)
    SELECT made.example_id, found.check_id, found.verdict, found.score, found.evidence
    FROM unnest(
        %(checked_links)s::bigint[],
        %(check_ids)s::integer[],
        %(verdicts)s::text[],
        %(scores)s::real[],
        %(evidence)s::jsonb[]
    ) AS found (link_id, check_id, verdict, score, evidence)
    INNER JOIN made USING (link_id)
)

SELECT link_id, generation_id FROM called
