CREATE FUNCTION lineage.examples_learned(of_run integer)
RETURNS bigint
LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        CASE
            WHEN run.parent_run_id IS NULL THEN CAST(training_set.size AS bigint)
            ELSE (SELECT count(*) FROM lineage.run_member WHERE run_member.training_run_id = of_run)
        END
    FROM training_run AS run
    INNER JOIN training_set USING (training_set_id)
    WHERE run.training_run_id = of_run;
END;

COMMENT ON FUNCTION lineage.examples_learned IS
'The number of examples that a run has learned from: those of its set and of the sets of the runs before it, each once.';
