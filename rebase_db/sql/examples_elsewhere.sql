-- The examples that other tasks train on, or would: accepted, in the present ranking of the task's newest version.
SELECT live.task, example.example_id, example.input
FROM live_ranking AS live
INNER JOIN retrieval_link AS link
    ON link.task_version_id = live.task_version_id AND link.encoder_id = live.encoder_id
INNER JOIN generation ON generation.link_id = link.link_id AND generation.attempt = link.attempt
INNER JOIN example USING (generation_id)
WHERE
    live.task_id <> (SELECT task_id FROM task_version WHERE task_version_id = :task_version_id)
    AND link.displaced_by IS NULL
    AND link.retracted_at IS NULL
    AND example.erased_by IS NULL
    AND link.state IN ('transformed', 'distilled')
ORDER BY example.example_id
