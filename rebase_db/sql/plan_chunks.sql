-- Queue the texts of every dataset that is not withdrawn that lie beyond what this encoder's chunks cover, in runs of
-- :chunk_texts.
INSERT INTO embed_chunk (encoder_id, dataset_id, first_text_id, last_text_id, state)
SELECT
    :encoder_id,
    dataset.dataset_id,
    first_text_id,
    least(first_text_id + :chunk_texts - 1, dataset.last_text_id),
    'waiting'
FROM dataset
CROSS JOIN LATERAL (
    SELECT coalesce(max(last_text_id), 0) AS last_text_id
    FROM embed_chunk
    WHERE embed_chunk.dataset_id = dataset.dataset_id AND encoder_id = :encoder_id
) AS covered
CROSS JOIN LATERAL generate_series(
    covered.last_text_id + 1, dataset.last_text_id, :chunk_texts
) AS first_text_id
WHERE
    NOT EXISTS (
        SELECT
        FROM retracted_dataset
        INNER JOIN retraction USING (retraction_id)
        WHERE retracted_dataset.dataset_id = dataset.dataset_id AND retraction.undone_at IS NULL
    )
ORDER BY dataset.dataset_id, first_text_id
