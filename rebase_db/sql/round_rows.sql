-- What came of the rows of a task's present ranking that were asked about since a time, and of those that still wait: by state,
-- of rejected ones by reason.
SELECT
    CASE
        WHEN link.state IN ('transformed', 'distilled') THEN 'accepted'
        WHEN link.state = 'rejected' THEN 'rejected: ' || split_part(coalesce(link.error, ''), ':', 1)
        WHEN link.state IN ('retrieved', 'transforming') THEN 'waiting'
        ELSE link.state
    END AS state,
    count(*) AS links
FROM retrieval_link AS link
WHERE
    link.task_version_id = :task_version_id
    AND link.encoder_id = :encoder_id
    AND link.displaced_by IS NULL
    AND link.retracted_at IS NULL
    AND (
        link.state IN ('retrieved', 'transforming')
        OR EXISTS (
            SELECT FROM generation WHERE generation.link_id = link.link_id AND generation.created_at > :since
        )
    )
GROUP BY 1
ORDER BY 1
