-- What covered rows are in the present rankings of tasks: how many links, and of these accepted, waiting and in hand.
SELECT
    live.task,
    count(*) AS links,
    count(*) FILTER (WHERE link.state IN ('transformed', 'distilled')) AS accepted,
    count(*) FILTER (WHERE link.state = 'retrieved') AS waiting,
    count(*) FILTER (WHERE link.state = 'transforming') AS in_hand
FROM covered_row
INNER JOIN retrieval_link AS link ON link.dataset_id = covered_row.dataset_id AND link.row_id = covered_row.row_id
INNER JOIN live_ranking AS live
    ON live.task_version_id = link.task_version_id AND live.encoder_id = link.encoder_id
WHERE link.displaced_by IS NULL
GROUP BY live.task
ORDER BY live.task
