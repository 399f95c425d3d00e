-- How many texts an encoder has not embedded yet. Ids are dense, so counting is enough.
SELECT
    coalesce((SELECT sum(last_text_id) FROM dataset), 0)
    - (
        SELECT coalesce(sum(last_text_id - first_text_id + 1), 0)
        FROM embed_chunk
        WHERE encoder_id = :encoder_id AND state = 'done'
    ) AS missing
