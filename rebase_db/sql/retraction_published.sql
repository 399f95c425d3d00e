-- Published data that may stem from covered rows: examples whose publisher says so, those for which only a guess says so, with the
-- surest, and places in the ranking.
SELECT
    publication.name AS publication,
    task.name AS task,
    coalesce(likely.stated, 0) AS stated,
    coalesce(likely.guessed, 0) AS guessed,
    likely.surest_guess,
    coalesce(ranked.ranks, 0) AS ranks
FROM publication
INNER JOIN task USING (task_id)
LEFT JOIN (
    SELECT
        published.publication_id,
        count(*) FILTER (WHERE source.stated) AS stated,
        count(*) FILTER (WHERE NOT source.stated) AS guessed,
        max(source.confidence) FILTER (WHERE NOT source.stated) AS surest_guess
    FROM (
        SELECT
            likely_source.published_example_id,
            bool_or(likely_source.method = 'stated') AS stated,
            max(likely_source.confidence) AS confidence
        FROM covered_row
        INNER JOIN likely_source
            ON likely_source.dataset_id = covered_row.dataset_id AND likely_source.row_id = covered_row.row_id
        GROUP BY likely_source.published_example_id
    ) AS source
    INNER JOIN published_example AS published
        ON published.published_example_id = source.published_example_id
    GROUP BY published.publication_id
) AS likely USING (publication_id)
LEFT JOIN (
    SELECT published_rank.publication_id, count(*) AS ranks
    FROM covered_row
    INNER JOIN published_rank
        ON published_rank.dataset_id = covered_row.dataset_id AND published_rank.row_id = covered_row.row_id
    GROUP BY published_rank.publication_id
) AS ranked USING (publication_id)
WHERE likely.publication_id IS NOT NULL OR ranked.publication_id IS NOT NULL
ORDER BY publication.publication_id
