-- Empties covered examples; their hashes stay.
UPDATE example
SET input = '', output = '', rationale = NULL, erased_by = :retraction_id
FROM covered_example
WHERE example.example_id = covered_example.example_id AND example.erased_by IS NULL
