-- Training runs that could be claimed now, or by :until, each a lane of its own.
SELECT run.training_run_id, task.priority
FROM training_run AS run
INNER JOIN training_set USING (training_set_id)
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
WHERE run.state = 'waiting' AND run.ready_at <= coalesce(CAST(:until AS timestamptz), statement_timestamp()) AND task.paused_at IS NULL
ORDER BY task.priority DESC
