-- Examples that are not what their hash says, and published ones; of an erased one the words are gone.
SELECT
    'example' AS record,
    jsonb_build_object('example_id', example_id) AS key,
    'content_hash is not that of input, output and rationale' AS what,
    encode(hashed.sha256, 'hex') AS expected,
    encode(content_hash, 'hex') AS found
FROM example
CROSS JOIN LATERAL (
    SELECT
        sha256(
            convert_to(
                E'rebase-db/example/v1\n{"input":' || to_json(input)::text
                || ',"output":' || to_json(output)::text
                || ',"rationale":' || coalesce(to_json(rationale)::text, 'null') || '}',
                'UTF8'
            )
        ) AS sha256
) AS hashed
WHERE erased_by IS NULL AND content_hash IS DISTINCT FROM hashed.sha256
UNION ALL
SELECT
    'published_example',
    jsonb_build_object('published_example_id', published_example_id),
    'content_hash is not that of input and output',
    encode(hashed.sha256, 'hex'),
    encode(content_hash, 'hex')
FROM published_example
CROSS JOIN LATERAL (
    SELECT
        sha256(
            convert_to(
                E'rebase-db/published_example/v1\n{"input":' || to_json(input)::text
                || ',"output":' || to_json(output)::text || '}',
                'UTF8'
            )
        ) AS sha256
) AS hashed
WHERE content_hash IS DISTINCT FROM hashed.sha256
