-- The texts of some examples.
SELECT example_id, input, output, rationale
FROM example
WHERE example_id = ANY(:example_ids) AND erased_by IS NULL
