-- Rows whose content is not what their hash says. A value that is no string spells itself otherwise in canonical JSON, or
-- not at all, and so has another hash. Of an erased row the content is gone.
SELECT
    'source_row' AS record,
    jsonb_build_object('dataset_id', dataset_id, 'row_id', row_id) AS key,
    'content_hash is not that of content' AS what,
    encode(hashed.sha256, 'hex') AS expected,
    encode(content_hash, 'hex') AS found
FROM source_row
CROSS JOIN LATERAL (
    SELECT
        sha256(
            convert_to(
                E'rebase-db/source_row/v1\n{'
                || coalesce(
                    string_agg(to_json(cell.key)::text || ':' || cell.value::text, ',' ORDER BY cell.key COLLATE "C"), ''
                )
                || '}',
                'UTF8'
            )
        ) AS sha256
    FROM jsonb_each(CASE jsonb_typeof(content) WHEN 'object' THEN content END) AS cell
) AS hashed
WHERE erased_by IS NULL AND content_hash IS DISTINCT FROM hashed.sha256
