CREATE VIEW lineage.check_verdict AS
SELECT DISTINCT ON (result.example_id, definition.name)
    result.example_id,
    definition.name AS check_name,
    result.verdict,
    result.score,
    result.evidence,
    result.other_example_id,
    result.judgement_id,
    definition.parameters,
    result.created_at AS checked_at,
    result.erased_by
FROM check_result AS result
INNER JOIN check_definition AS definition USING (check_id)
ORDER BY result.example_id, definition.name, result.check_result_id DESC;

COMMENT ON VIEW lineage.check_verdict IS 'One row an example and a check: what the check said of it last.';
COMMENT ON COLUMN lineage.check_verdict.verdict IS
'pass, warn or fail; that the example is kept out for it is the state of its link';
COMMENT ON COLUMN lineage.check_verdict.evidence IS 'what was seen';
COMMENT ON COLUMN lineage.check_verdict.other_example_id IS 'the example that is repeated';
COMMENT ON COLUMN lineage.check_verdict.judgement_id IS 'the judge''s call that gave the score';
COMMENT ON COLUMN lineage.check_verdict.parameters IS 'version, thresholds and action it was checked with';
