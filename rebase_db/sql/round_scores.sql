-- The newest score of a run and, of another, the one on the same benchmark by the same metric.
SELECT
    newest.training_run_id AS run,
    benchmark.name AS benchmark,
    newest.metric,
    newest.value,
    newest.low,
    newest.high,
    newest.items,
    other.training_run_id AS other_run,
    other.value AS other_value,
    other.low AS other_low,
    other.high AS other_high
FROM evaluation AS newest
INNER JOIN benchmark USING (benchmark_id)
LEFT JOIN evaluation AS other
    ON other.training_run_id = :other_run
    AND other.benchmark_id = newest.benchmark_id
    AND other.metric = newest.metric
WHERE newest.training_run_id = :run
ORDER BY newest.evaluation_id DESC
LIMIT 1
