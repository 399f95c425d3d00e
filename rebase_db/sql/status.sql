-- Rows of every queue by stage, task and state. Of links only those that workers look at: of a task's newest version
-- with a retrieval, under the encoder of its newest one. Each part goes by a partial index, so no link is read.
WITH newest AS MATERIALIZED (
    SELECT * FROM live_ranking
),
working AS MATERIALIZED (
    SELECT task_version_id, encoder_id, count(*) AS rows
    FROM retrieval_link
    WHERE state = 'transforming' AND displaced_by IS NULL AND retracted_at IS NULL
    GROUP BY task_version_id, encoder_id
)
SELECT 'embed' AS stage, '' AS task, state, count(*) AS rows FROM embed_chunk GROUP BY state
UNION ALL
SELECT 'retrieve', task.name, retrieval.state, count(*)
FROM retrieval
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
GROUP BY task.name, retrieval.state
UNION ALL
SELECT 'transform', newest.task, 'retrieved', waiting.rows
FROM newest
CROSS JOIN LATERAL (
    SELECT count(*) AS rows
    FROM retrieval_link AS link
    WHERE
        link.task_version_id = newest.task_version_id
        AND link.encoder_id = newest.encoder_id
        AND link.state = 'retrieved'
        AND link.displaced_by IS NULL
        AND link.retracted_at IS NULL
) AS waiting
WHERE waiting.rows > 0
UNION ALL
SELECT 'transform', newest.task, 'transforming', working.rows
FROM newest
INNER JOIN working USING (task_version_id, encoder_id)
UNION ALL
SELECT 'transform', newest.task, final.state, finished.rows
FROM newest
CROSS JOIN unnest(CAST(:finished AS text [])) AS final (state)
CROSS JOIN LATERAL (
    SELECT count(*) AS rows
    FROM retrieval_link AS link
    WHERE
        link.task_version_id = newest.task_version_id
        AND link.encoder_id = newest.encoder_id
        AND link.state = final.state
        AND link.finished_at IS NOT NULL
        AND link.displaced_by IS NULL
        AND link.retracted_at IS NULL
) AS finished
WHERE finished.rows > 0
UNION ALL
SELECT 'distill', task.name, run.state, count(*)
FROM training_run AS run
INNER JOIN training_set USING (training_set_id)
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
GROUP BY task.name, run.state
