-- Rows that changed or went, against the loads that found them so. A row is removed since the load that says so began, which read
-- its split after the row was there. What it has become is of the same load and split, with other content, and has what rows
-- were matched by: where both the old and the new row are there, so is the record that ties them.
WITH went AS (
    SELECT
        removed_row.dataset_id,
        removed_row.row_id,
        removed_row.ingest_id,
        source_row.ingest_id AS brought_by,
        source_row.split_id,
        source_row.content_hash,
        ingest.match_by,
        ingest.created_at,
        CASE
            WHEN ingest.match_by IN ('content', 'index') THEN int8send(source_row.source_index)
            WHEN ingest.match_by = 'key:__row_id' THEN sha256(convert_to(source_row.source_key, 'UTF8'))
            WHEN source_row.erased_by IS NULL
                THEN sha256(convert_to(source_row.content ->> substr(ingest.match_by, 5), 'UTF8'))
            ELSE decode(source_row.content ->> substr(ingest.match_by, 5), 'hex')
        END AS match_key
    FROM removed_row
    LEFT JOIN source_row USING (dataset_id, row_id)
    LEFT JOIN ingest ON ingest.dataset_id = removed_row.dataset_id AND ingest.ingest_id = removed_row.ingest_id
),

-- Of loads that matched rows.
brought AS (
    SELECT
        source_row.dataset_id,
        source_row.row_id,
        source_row.ingest_id,
        source_row.split_id,
        source_row.content_hash,
        changed_row.previous_row_id,
        CASE
            WHEN ingest.match_by IN ('content', 'index') THEN int8send(source_row.source_index)
            WHEN ingest.match_by = 'key:__row_id' THEN sha256(convert_to(source_row.source_key, 'UTF8'))
            WHEN source_row.erased_by IS NULL
                THEN sha256(convert_to(source_row.content ->> substr(ingest.match_by, 5), 'UTF8'))
            ELSE decode(source_row.content ->> substr(ingest.match_by, 5), 'hex')
        END AS match_key
    FROM source_row
    INNER JOIN ingest USING (dataset_id, ingest_id)
    LEFT JOIN changed_row USING (dataset_id, row_id)
    WHERE ingest.match_by IS NOT NULL
)

SELECT
    'source_row' AS record,
    jsonb_build_object('dataset_id', source_row.dataset_id, 'row_id', source_row.row_id) AS key,
    'removed_at is not when the load that removed it began' AS what,
    went.created_at::text AS expected,
    source_row.removed_at::text AS found
FROM source_row
LEFT JOIN went USING (dataset_id, row_id)
WHERE source_row.removed_at IS DISTINCT FROM went.created_at
UNION ALL
SELECT
    'removed_row',
    jsonb_build_object('dataset_id', went.dataset_id, 'row_id', went.row_id),
    'the load that removed it did not read its split after it was there',
    NULL,
    went.ingest_id::text
FROM went
LEFT JOIN ingest_split USING (dataset_id, ingest_id, split_id)
WHERE ingest_split.split_id IS NULL OR went.match_by IS NULL OR went.ingest_id <= went.brought_by
UNION ALL
SELECT
    'changed_row',
    jsonb_build_object('dataset_id', changed_row.dataset_id, 'row_id', changed_row.row_id),
    'it is not what the row before it became by the same load',
    changed_row.previous_row_id::text,
    NULL
FROM changed_row
LEFT JOIN brought USING (dataset_id, row_id)
LEFT JOIN went
    ON went.dataset_id = changed_row.dataset_id
    AND went.row_id = changed_row.previous_row_id
    AND went.ingest_id = brought.ingest_id
    AND went.split_id = brought.split_id
    AND went.match_key = brought.match_key
    AND went.content_hash <> brought.content_hash
WHERE went.row_id IS NULL
UNION ALL
SELECT
    'changed_row',
    jsonb_build_object('dataset_id', brought.dataset_id, 'row_id', brought.row_id),
    'a row was removed where it came, but is not said to have become it',
    went.row_id::text,
    NULL
FROM brought
INNER JOIN went USING (dataset_id, ingest_id, split_id, match_key)
WHERE brought.previous_row_id IS NULL
