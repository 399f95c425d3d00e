-- The links of a task version under an encoder by what a freeze makes of them: taken, or why not.
SELECT
    CASE
        WHEN link.displaced_by IS NOT NULL THEN 'displaced'
        WHEN link.retracted_at IS NOT NULL THEN 'retracted'
        WHEN link.state IN ('transformed', 'distilled') THEN 'accepted'
        WHEN link.state = 'rejected' THEN 'rejected: ' || split_part(coalesce(link.error, ''), ':', 1)
        WHEN link.state IN ('retrieved', 'transforming') THEN 'waiting'
        ELSE link.state
    END AS reason,
    count(*) AS links
FROM retrieval_link AS link
WHERE link.task_version_id = :task_version_id AND link.encoder_id = :encoder_id
GROUP BY reason
ORDER BY reason
