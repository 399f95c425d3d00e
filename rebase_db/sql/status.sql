-- Rows of every queue by state.
SELECT 'embed' AS stage, '' AS task, state, count(*) AS rows FROM embed_chunk GROUP BY state
UNION ALL
SELECT 'retrieve', task.name, retrieval.state, count(*)
FROM retrieval
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
GROUP BY task.name, retrieval.state
UNION ALL
SELECT 'transform', task.name, link.state, count(*)
FROM retrieval_link AS link
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
WHERE link.displaced_by IS NULL
GROUP BY task.name, link.state
UNION ALL
SELECT 'distill', task.name, run.state, count(*)
FROM training_run AS run
INNER JOIN training_set USING (training_set_id)
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
GROUP BY task.name, run.state
