-- What checks said of examples. Evidence holds words of an example or of the other, which were maybe erased in the meantime.
INSERT INTO check_result (example_id, check_id, verdict, score, evidence, other_example_id, judgement_id)
SELECT
    found.example_id,
    found.check_id,
    found.verdict,
    found.score,
    CASE
        WHEN EXISTS (
            SELECT
            FROM example
            WHERE example.example_id IN (found.example_id, found.other_example_id) AND example.erased_by IS NOT NULL
        ) THEN CAST('{}' AS jsonb)
        ELSE found.evidence
    END,
    found.other_example_id,
    found.judgement_id
FROM unnest(
    %(example_ids)s::bigint[],
    %(check_ids)s::integer[],
    %(verdicts)s::text[],
    %(scores)s::real[],
    %(evidence)s::jsonb[],
    %(other_example_ids)s::bigint[],
    %(judgement_ids)s::bigint[]
) AS found (example_id, check_id, verdict, score, evidence, other_example_id, judgement_id)
