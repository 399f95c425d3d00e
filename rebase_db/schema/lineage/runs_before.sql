CREATE FUNCTION lineage.runs_before(of_run integer)
RETURNS TABLE (run_id integer, steps integer)
-- STRICT keeps it from being inlined: the planner then goes by ROWS instead of by its guess for a recursion.
LANGUAGE sql STABLE STRICT PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    WITH RECURSIVE before (run_id, steps) AS (
        SELECT parent_run_id, 1
        FROM training_run
        WHERE training_run.training_run_id = of_run AND parent_run_id IS NOT NULL
        UNION ALL
        SELECT training_run.parent_run_id, before.steps + 1
        FROM before
        INNER JOIN training_run ON training_run.training_run_id = before.run_id
        WHERE training_run.parent_run_id IS NOT NULL
    )

    SELECT before.run_id, before.steps FROM before;
END;

COMMENT ON FUNCTION lineage.runs_before IS
'The runs whose weights a run started from: its parent, the parent''s parent, and so on, with the number of steps.';
