-- The revisions of which every row stands: read under this cap without leaving rows out, and no other revision since. With the
-- number of rows.
SELECT DISTINCT ON (split_id, revision)
    split_id,
    revision,
    rows_added + rows_unchanged AS rows
FROM ingest_split AS loaded
WHERE
    dataset_id = :dataset_id
    AND max_rows IS NOT DISTINCT FROM CAST(:max_rows AS integer)
    AND rows_rejected = 0
    AND NOT EXISTS (
        SELECT
        FROM ingest_split AS later
        WHERE
            later.dataset_id = loaded.dataset_id
            AND later.split_id = loaded.split_id
            AND later.ingest_id > loaded.ingest_id
            AND later.revision <> loaded.revision
    )
ORDER BY split_id, revision, ingest_id DESC
