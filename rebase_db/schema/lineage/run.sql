CREATE VIEW lineage.run AS
SELECT
    run.training_run_id,
    task.name AS task,
    task_version.version AS task_version,
    run.training_set_id,
    training_set.name AS training_set,
    training_set.size,
    run.student,
    run.base,
    run.base_revision,
    run.hyperparameters,
    run.seed,
    run.parent_run_id,
    run.state,
    run.code_version,
    run.artifact_path,
    encode(run.artifact_hash, 'hex') AS artifact_hash,
    run.created_at,
    run.finished_at
FROM training_run AS run
INNER JOIN training_set USING (training_set_id)
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id);

COMMENT ON VIEW lineage.run IS 'One row a training run: a student trained, or to be trained, on a set.';
COMMENT ON COLUMN lineage.run.size IS 'number of the set''s examples';
COMMENT ON COLUMN lineage.run.parent_run_id IS
'the run whose weights it started from; null where it started from the base model''s';
COMMENT ON COLUMN lineage.run.state IS 'waiting, running, done, failed or cancelled';
COMMENT ON COLUMN lineage.run.artifact_hash IS 'SHA-256 over the files of the model, in hex';
