-- Rows that each worker finished in the last :seconds, by worker.
SELECT worker_id, count(*) AS rows
FROM event
WHERE
    at > statement_timestamp() - make_interval(secs => CAST(:seconds AS double precision))
    AND event IN ('done', 'reject', 'fail')
    AND worker_id IS NOT NULL
GROUP BY worker_id
