-- Empties the evidence of checks about erased examples, and of those about others that quote one.
UPDATE check_result
SET evidence = '{}', erased_by = :retraction_id
WHERE
    check_result.erased_by IS NULL
    AND check_result.evidence <> '{}'
    AND (
        check_result.example_id IN (SELECT covered_example.example_id FROM covered_example)
        OR check_result.other_example_id IN (SELECT covered_example.example_id FROM covered_example)
    )
