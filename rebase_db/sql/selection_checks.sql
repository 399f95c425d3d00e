-- By which definitions the examples of a task version's present ranking were checked last, by name of the check.
SELECT newest.name, max(newest.check_id) AS check_id
FROM (
    SELECT DISTINCT ON (result.example_id, definition.name) definition.name, definition.check_id
    FROM retrieval_link AS link
    INNER JOIN generation ON generation.link_id = link.link_id AND generation.attempt = link.attempt
    INNER JOIN example USING (generation_id)
    INNER JOIN check_result AS result USING (example_id)
    INNER JOIN check_definition AS definition USING (check_id)
    WHERE
        link.task_version_id = :task_version_id
        AND link.encoder_id = :encoder_id
        AND link.displaced_by IS NULL
        AND link.retracted_at IS NULL
    ORDER BY result.example_id, definition.name, result.check_result_id DESC
) AS newest
GROUP BY newest.name
ORDER BY newest.name
