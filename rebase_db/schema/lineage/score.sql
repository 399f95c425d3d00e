CREATE VIEW lineage.score AS
SELECT
    evaluation.evaluation_id,
    evaluation.training_run_id,
    training_set.name AS training_set,
    task.name AS task,
    benchmark.benchmark_id,
    benchmark.name AS benchmark,
    encode(benchmark.content_hash, 'hex') AS benchmark_hash,
    evaluation.metric,
    evaluation.value,
    evaluation.low,
    evaluation.high,
    evaluation.majority,
    evaluation.items,
    evaluation.created_at
FROM evaluation
INNER JOIN benchmark USING (benchmark_id)
INNER JOIN training_run USING (training_run_id)
INNER JOIN training_set USING (training_set_id)
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id);

COMMENT ON VIEW lineage.score IS 'One row a run, a benchmark and a metric: the score.';
COMMENT ON COLUMN lineage.score.low IS 'lower end of the 95 % interval';
COMMENT ON COLUMN lineage.score.high IS 'upper end of the 95 % interval';
COMMENT ON COLUMN lineage.score.majority IS 'what always giving the most frequent answer would score';
COMMENT ON COLUMN lineage.score.items IS 'number of the benchmark''s items';
