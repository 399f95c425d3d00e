-- The different outputs of a set, and of what a run has learned from, if one is given.
SELECT DISTINCT example.output
FROM (
    SELECT member.example_id
    FROM training_set_member AS member
    WHERE member.training_set_id = :training_set_id
    UNION
    SELECT learned.example_id
    FROM lineage.run_member AS learned
    WHERE learned.training_run_id = :training_run_id
) AS learned
INNER JOIN example USING (example_id)
ORDER BY example.output
