-- Errors of rows that failed for good, most frequent first.
SELECT stage, error, count(*) AS rows
FROM (
    SELECT 'embed' AS stage, error FROM embed_chunk WHERE state = 'failed'
    UNION ALL
    SELECT 'retrieve', error FROM retrieval WHERE state = 'failed'
    UNION ALL
    SELECT 'transform', error FROM retrieval_link WHERE state = 'failed' AND displaced_by IS NULL
    UNION ALL
    SELECT 'distill', error FROM training_run WHERE state = 'failed'
) AS failed
GROUP BY stage, error
ORDER BY rows DESC
LIMIT 20
