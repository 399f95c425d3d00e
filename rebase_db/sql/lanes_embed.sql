-- Encoders with chunks of texts that could be claimed now, or by :until.
SELECT encoder_id, 0 AS priority
FROM encoder
WHERE
    EXISTS (
        SELECT
        FROM embed_chunk
        WHERE
            embed_chunk.encoder_id = encoder.encoder_id
            AND embed_chunk.state = 'waiting'
            AND embed_chunk.ready_at <= coalesce(CAST(:until AS timestamptz), statement_timestamp())
    )
