-- Members of a set that a run has not learned from, neither by its own set nor by the runs before it, in the set's order.
SELECT example.example_id, example.input, example.output
FROM training_set_member AS member
INNER JOIN example USING (example_id)
WHERE
    member.training_set_id = :training_set_id
    AND NOT EXISTS (
        SELECT
        FROM lineage.run_member AS learned
        WHERE learned.training_run_id = :training_run_id AND learned.example_id = member.example_id
    )
ORDER BY member.position
