-- Training runs that have learned from covered rows, by their own set or by a run whose weights they started from, with their
-- scores: what was trained, where it lies, what it learned from, and what it was measured to do.
SELECT
    run.training_run_id AS run,
    training_set.name AS training_set,
    run.state,
    touched.examples,
    lineage.examples_learned(run.training_run_id) AS size,
    CAST(touched.examples AS double precision) / lineage.examples_learned(run.training_run_id) AS share,
    run.parent_run_id AS parent,
    run.student,
    run.base,
    run.finished_at,
    run.artifact_path,
    encode(run.artifact_hash, 'hex') AS artifact_hash,
    ARRAY(
        SELECT
            jsonb_build_object('benchmark', benchmark.name, 'metric', evaluation.metric, 'value', evaluation.value)
        FROM evaluation
        INNER JOIN benchmark USING (benchmark_id)
        WHERE evaluation.training_run_id = run.training_run_id
        ORDER BY evaluation.evaluation_id
    ) AS scores
FROM (
    SELECT learned.training_run_id, count(DISTINCT covered_example.example_id) AS examples
    FROM covered_example
    INNER JOIN training_set_member AS member ON member.example_id = covered_example.example_id
    INNER JOIN lineage.run_set AS learned ON learned.training_set_id = member.training_set_id
    GROUP BY learned.training_run_id
) AS touched
INNER JOIN training_run AS run ON run.training_run_id = touched.training_run_id
INNER JOIN training_set ON training_set.training_set_id = run.training_set_id
ORDER BY run.state <> 'done', run.training_run_id
