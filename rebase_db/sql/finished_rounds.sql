-- The newest finished runs of a task on different sets, newest first: what a round is counted from. With `measured` only those
-- that have a score.
SELECT newest.*
FROM (
    SELECT DISTINCT ON (run.training_set_id)
        run.training_run_id AS run,
        run.training_set_id,
        training_set.name AS training_set,
        training_set.size,
        training_set.created_at AS frozen_at,
        training_set.task_version_id,
        retrieval.encoder_id,
        coalesce(retrieval.retrieval_id, 0) AS retrieval_id,
        run.finished_at,
        run.student,
        run.base,
        run.hyperparameters,
        run.seed
    FROM training_run AS run
    INNER JOIN training_set USING (training_set_id)
    INNER JOIN task_version USING (task_version_id)
    INNER JOIN task USING (task_id)
    -- Of a set that was frozen before this was on record, the newest ranking there was by then.
    LEFT JOIN retrieval ON retrieval.retrieval_id = coalesce(
        CAST(training_set.selection ->> 'retrieval_id' AS integer),
        (
            SELECT max(before.retrieval_id)
            FROM retrieval AS before
            WHERE
                before.task_version_id = training_set.task_version_id
                AND before.state = 'done'
                AND before.finished_at <= training_set.created_at
        )
    )
    WHERE
        task.name = :task
        AND run.state = 'done'
        AND (NOT :measured OR EXISTS (SELECT FROM evaluation WHERE evaluation.training_run_id = run.training_run_id))
    ORDER BY run.training_set_id, run.training_run_id DESC
) AS newest
ORDER BY newest.run DESC
LIMIT 2
