-- What a retrieval did, and the cut of the one before it for the same task version and encoder.
SELECT
    retrieval.retrieval_id,
    retrieval.top_n,
    retrieval.scoring,
    retrieval.mirrors,
    retrieval.rows_scored,
    (
        SELECT coalesce(sum(scored), 0)
        FROM retrieval_dataset
        WHERE retrieval_dataset.retrieval_id = retrieval.retrieval_id
    ) AS rows_scored_anew,
    retrieval.rows_entered,
    (
        SELECT coalesce(sum(returned), 0)
        FROM retrieval_dataset
        WHERE retrieval_dataset.retrieval_id = retrieval.retrieval_id
    ) AS rows_returned,
    retrieval.rows_kept,
    retrieval.rows_displaced,
    retrieval.mirrors_left_out,
    retrieval.cutoff_score,
    before.retrieval_id AS previous_retrieval_id,
    before.scoring AS previous_scoring,
    before.cutoff_score AS previous_cutoff_score
FROM retrieval
LEFT JOIN LATERAL (
    SELECT *
    FROM retrieval AS earlier
    WHERE
        earlier.task_version_id = retrieval.task_version_id
        AND earlier.encoder_id = retrieval.encoder_id
        AND earlier.retrieval_id < retrieval.retrieval_id
        AND earlier.state = 'done'
    ORDER BY earlier.retrieval_id DESC
    LIMIT 1
) AS before ON TRUE
WHERE retrieval.retrieval_id = :retrieval_id
