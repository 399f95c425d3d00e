-- What each check said of an example last; whether that kept it out is what its link says.
SELECT
    check_name AS name,
    verdict,
    score,
    evidence,
    other_example_id,
    judgement_id,
    parameters,
    checked_at
FROM lineage.check_verdict
WHERE example_id = :example_id
ORDER BY check_name
