-- What the newest result of each check says of some training sets' members: how many passed, were warned of, and failed.
WITH newest AS (
    SELECT DISTINCT ON (result.example_id, definition.name) definition.name, result.verdict
    FROM training_set_member AS member
    INNER JOIN check_result AS result USING (example_id)
    INNER JOIN check_definition AS definition USING (check_id)
    WHERE member.training_set_id = ANY(CAST(:training_set_ids AS integer []))
    ORDER BY result.example_id, definition.name, result.check_result_id DESC
)

SELECT
    name,
    count(*) FILTER (WHERE verdict = 'pass') AS passed,
    count(*) FILTER (WHERE verdict = 'warn') AS warned,
    count(*) FILTER (WHERE verdict = 'fail') AS failed
FROM newest
GROUP BY name
ORDER BY name
