CREATE FUNCTION lineage.learned_within(of_run integer, of_steps integer, of_example bigint)
RETURNS boolean
-- STRICT keeps it from being inlined: an example is looked up by index, whatever the planner guesses.
LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT
        FROM lineage.run_set AS nearer
        INNER JOIN training_set_member AS member USING (training_set_id)
        WHERE nearer.training_run_id = of_run AND nearer.steps < of_steps AND member.example_id = of_example
    );
END;

COMMENT ON FUNCTION lineage.learned_within IS
'Whether an example is in the set of a run, or in that of one fewer than so many steps before it.';
