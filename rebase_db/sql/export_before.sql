-- The runs whose weights a run started from, nearest first, with the sets that they learned from.
SELECT
    run.training_run_id,
    run.run_key,
    run.artifact_hash,
    run.student,
    run.created_at,
    run.finished_at,
    run.code_version,
    training_set.training_set_id,
    training_set.name AS training_set,
    training_set.size,
    training_set.manifest_hash,
    training_set.created_at AS frozen_at
FROM lineage.run_set AS learned
INNER JOIN training_run AS run ON run.training_run_id = learned.learned_by
INNER JOIN training_set ON training_set.training_set_id = run.training_set_id
WHERE learned.training_run_id = :training_run_id AND learned.steps > 0
ORDER BY learned.steps
