-- Of each of some examples and each name of a check the newest result.
SELECT DISTINCT ON (result.example_id, definition.name)
    result.example_id,
    definition.name,
    definition.content_hash,
    result.verdict,
    result.other_example_id
FROM check_result AS result
INNER JOIN check_definition AS definition USING (check_id)
WHERE result.example_id = ANY(:example_ids)
ORDER BY result.example_id, definition.name, result.check_result_id DESC
