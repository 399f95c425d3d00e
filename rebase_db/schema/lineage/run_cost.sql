CREATE VIEW lineage.run_cost AS
WITH behind AS NOT MATERIALIZED (
    -- An example that several rest on is paid once. Not materialized, so that the run asked for is looked up in it.
    SELECT DISTINCT training_run_id, via_example_id AS example_id FROM lineage.run_example
),

asked AS (
    SELECT
        behind.training_run_id,
        generation.generation_id,
        bool_or(generation.generation_id = example.generation_id) AS in_use
    FROM behind
    INNER JOIN example USING (example_id)
    INNER JOIN generation USING (link_id)
    GROUP BY behind.training_run_id, generation.generation_id
),

call AS (
    SELECT
        asked.training_run_id,
        CASE WHEN asked.in_use THEN 'answer' ELSE 'other attempt' END AS kind,
        generation.prompt_tokens,
        generation.completion_tokens,
        generation.cost,
        generation.reused_from IS NOT NULL AS reused,
        generation.maybe_billed
    FROM asked
    INNER JOIN generation USING (generation_id)
    UNION ALL
    SELECT
        behind.training_run_id,
        'judge' AS kind,
        judgement.prompt_tokens,
        judgement.completion_tokens,
        judgement.cost,
        false AS reused,
        judgement.maybe_billed
    FROM behind
    INNER JOIN judgement USING (example_id)
)

SELECT
    training_run_id,
    kind,
    count(*) AS calls,
    count(*) FILTER (WHERE reused) AS reused,
    count(*) FILTER (WHERE maybe_billed) AS maybe_billed,
    sum(prompt_tokens) AS prompt_tokens,
    sum(completion_tokens) AS completion_tokens,
    sum(cost) AS cost
FROM call
GROUP BY training_run_id, kind;

COMMENT ON VIEW lineage.run_cost IS
'One row a run and a kind of call for the examples that it rests on: what they took.';
COMMENT ON COLUMN lineage.run_cost.kind IS
'answer: the calls that the examples were read from; other attempt: further calls for the same rows; judge: calls that
judged the examples';
COMMENT ON COLUMN lineage.run_cost.reused IS
'calls that used a stored answer again; tokens and cost stand with its first call';
COMMENT ON COLUMN lineage.run_cost.maybe_billed IS 'calls of which nobody knows whether the server did the work';
COMMENT ON COLUMN lineage.run_cost.cost IS 'null where no call has a known cost';
