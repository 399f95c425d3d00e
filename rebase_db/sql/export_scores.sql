-- Every score of a run, with the benchmark it was measured on.
SELECT
    evaluation.evaluation_id,
    benchmark.benchmark_id,
    benchmark.name AS benchmark,
    benchmark.uri AS benchmark_uri,
    benchmark.content_hash AS benchmark_hash,
    evaluation.metric,
    evaluation.value,
    evaluation.low,
    evaluation.high,
    evaluation.majority,
    evaluation.items,
    evaluation.created_at
FROM evaluation
INNER JOIN benchmark USING (benchmark_id)
WHERE evaluation.training_run_id = :training_run_id
ORDER BY evaluation.evaluation_id
