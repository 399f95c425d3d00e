-- Texts that should have a vector and have none, vectors that should not be there, and texts that chunks pass over.
SELECT
    'text' AS record,
    jsonb_build_object('dataset_id', chunk.dataset_id, 'text_id', bare.text_id) AS key,
    'it has no vector under encoder ' || chunk.encoder_id || ', whose chunk ' || chunk.embed_chunk_id || ' is done' AS what,
    NULL AS expected,
    NULL AS found
FROM embed_chunk AS chunk
CROSS JOIN LATERAL (
    SELECT text.text_id
    FROM text
    LEFT JOIN embedding
        ON embedding.dataset_id = chunk.dataset_id
        AND embedding.encoder_id = chunk.encoder_id
        AND embedding.text_id = text.text_id
    WHERE
        text.dataset_id = chunk.dataset_id
        AND text.text_id BETWEEN chunk.first_text_id AND chunk.last_text_id
        AND text.erased_by IS NULL
        AND embedding.text_id IS NULL
    -- Chunk by chunk: the planner knows no other way with a range than to try every chunk for every text.
    OFFSET 0
) AS bare
WHERE chunk.state = 'done'
UNION ALL
SELECT
    'embedding',
    jsonb_build_object(
        'dataset_id', embedding.dataset_id, 'encoder_id', embedding.encoder_id, 'text_id', embedding.text_id
    ),
    'its text is erased',
    NULL,
    NULL
FROM embedding
INNER JOIN text USING (dataset_id, text_id)
WHERE text.erased_by IS NOT NULL
UNION ALL
SELECT
    'embedding',
    jsonb_build_object(
        'dataset_id', embedding.dataset_id, 'encoder_id', embedding.encoder_id, 'text_id', embedding.text_id
    ),
    'no finished chunk covers its text',
    NULL,
    NULL
FROM embedding
LEFT JOIN LATERAL (
    SELECT chunk.last_text_id, chunk.state
    FROM embed_chunk AS chunk
    WHERE
        chunk.dataset_id = embedding.dataset_id
        AND chunk.encoder_id = embedding.encoder_id
        AND chunk.first_text_id <= embedding.text_id
    ORDER BY chunk.first_text_id DESC
    LIMIT 1
) AS nearest ON true
WHERE (nearest.state = 'done' AND embedding.text_id <= nearest.last_text_id) IS NOT TRUE
UNION ALL
SELECT
    'embed_chunk',
    jsonb_build_object('embed_chunk_id', ranged.embed_chunk_id),
    'it does not begin where the one before ended',
    (ranged.before + 1)::text,
    ranged.first_text_id::text
FROM (
    SELECT
        embed_chunk.*,
        coalesce(lag(last_text_id) OVER (PARTITION BY encoder_id, dataset_id ORDER BY first_text_id), 0) AS before
    FROM embed_chunk
) AS ranged
WHERE ranged.first_text_id <> ranged.before + 1
