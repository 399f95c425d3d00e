-- How the ranking of a task version under an encoder stands to the one that a retrieval had left: links that entered, were
-- displaced and kept, and both cut-offs.
WITH newest AS (
    SELECT *
    FROM retrieval
    WHERE task_version_id = :task_version_id AND encoder_id = :encoder_id AND state = 'done'
    ORDER BY retrieval_id DESC
    LIMIT 1
),

before AS (
    SELECT *
    FROM retrieval
    WHERE retrieval_id = :retrieval_id AND task_version_id = :task_version_id AND encoder_id = :encoder_id
),

displaced AS (
    SELECT count(*) AS links
    FROM retrieval_link AS link
    INNER JOIN before ON link.displaced_by > before.retrieval_id AND link.entered_by <= before.retrieval_id
    WHERE link.task_version_id = :task_version_id AND link.encoder_id = :encoder_id
),

counted AS (
    SELECT
        newest.rows_scored,
        newest.rows_entered + newest.rows_kept AS ranked,
        coalesce(before.rows_entered + before.rows_kept, 0) AS ranked_before,
        displaced.links AS displaced,
        newest.cutoff_score AS cutoff,
        before.cutoff_score AS cutoff_before
    FROM newest
    CROSS JOIN displaced
    LEFT JOIN before ON true
)

SELECT
    rows_scored,
    -- One that comes back enters as well: it was not in the ranking before.
    CAST(ranked - (ranked_before - displaced) AS bigint) AS entered,
    displaced,
    CAST(ranked_before - displaced AS bigint) AS kept,
    cutoff,
    cutoff_before
FROM counted
