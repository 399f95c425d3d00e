-- What each check said of an example last; whether that kept it out is what its link says.
SELECT DISTINCT ON (definition.name)
    definition.name,
    result.verdict,
    result.score,
    result.evidence,
    result.other_example_id,
    result.judgement_id,
    definition.parameters,
    result.created_at AS checked_at
FROM check_result AS result
INNER JOIN check_definition AS definition USING (check_id)
WHERE result.example_id = :example_id
ORDER BY definition.name, result.check_result_id DESC
