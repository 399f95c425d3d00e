-- What checks said of examples.
INSERT INTO check_result (example_id, check_id, verdict, score, evidence, other_example_id, judgement_id)
SELECT *
FROM unnest(
    %(example_ids)s::bigint[],
    %(check_ids)s::integer[],
    %(verdicts)s::text[],
    %(scores)s::real[],
    %(evidence)s::jsonb[],
    %(other_example_ids)s::bigint[],
    %(judgement_ids)s::bigint[]
)
