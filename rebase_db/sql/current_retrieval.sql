-- The newest retrieval of a task version and encoder, if it asked for exactly this and nothing has been ingested, retracted
-- or taken back since it scored the corpus (or if it has not been computed yet).
SELECT newest.retrieval_id
FROM (
    SELECT *
    FROM retrieval
    WHERE task_version_id = :task_version_id AND encoder_id = :encoder_id AND state NOT IN ('failed', 'cancelled')
    ORDER BY retrieval_id DESC
    LIMIT 1
) AS newest
WHERE
    newest.top_n = :top_n
    AND newest.scoring = :scoring
    AND newest.mirrors = :mirrors
    AND newest.weights IS NOT DISTINCT FROM cast(:weights AS double precision[])
    AND newest.max_share IS NOT DISTINCT FROM cast(:max_share AS double precision)
    AND ARRAY(
        SELECT dataset_id FROM retrieval_exclusion WHERE retrieval_id = newest.retrieval_id ORDER BY dataset_id
    ) = cast(:excluded AS integer[])
    AND (
        newest.state <> 'done'
        OR (
            newest.retractions_seen = (SELECT count(*) + count(undone_at) FROM retraction)
            -- Of a retrieval from before loads were counted it is null, and so it is not current.
            AND newest.loads_seen = (SELECT count(*) FROM ingest WHERE finished_at IS NOT NULL)
        )
    )
