-- Where an example went: the sets it is in, the runs that have learned from them, by a run before them too, and their scores.
SELECT
    training_set.name AS training_set,
    member.position,
    training_set.size,
    encode(training_set.manifest_hash, 'hex') AS manifest_hash,
    run.training_run_id,
    run.state AS run_state,
    nullif(learned.learned_by, learned.training_run_id) AS learned_by,
    run.base,
    encode(run.artifact_hash, 'hex') AS artifact_hash,
    benchmark.name AS benchmark,
    evaluation.metric,
    evaluation.value
FROM training_set_member AS member
INNER JOIN training_set USING (training_set_id)
LEFT JOIN lineage.run_set AS learned USING (training_set_id)
LEFT JOIN training_run AS run USING (training_run_id)
LEFT JOIN evaluation USING (training_run_id)
LEFT JOIN benchmark USING (benchmark_id)
WHERE member.example_id = :example_id
ORDER BY training_set.training_set_id, run.training_run_id, evaluation.evaluation_id
