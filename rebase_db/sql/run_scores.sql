-- Every score of a run.
SELECT
    benchmark.name AS benchmark,
    evaluation.metric,
    evaluation.value,
    evaluation.low,
    evaluation.high,
    evaluation.majority,
    evaluation.items
FROM evaluation
INNER JOIN benchmark USING (benchmark_id)
WHERE evaluation.training_run_id = :training_run_id
ORDER BY evaluation.evaluation_id
