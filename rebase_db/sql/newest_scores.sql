-- Of each of some examples the newest result of checks of some names, with its score and the definition it was made by.
SELECT DISTINCT ON (result.example_id, definition.name)
    result.example_id,
    definition.name,
    definition.parameters,
    result.score
FROM check_result AS result
INNER JOIN check_definition AS definition USING (check_id)
WHERE result.example_id = ANY(:example_ids) AND definition.name = ANY(:names)
ORDER BY result.example_id, definition.name, result.check_result_id DESC
