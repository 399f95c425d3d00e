-- How many texts of datasets that are not withdrawn an encoder has not embedded yet. Ids are dense, so counting is enough; what
-- is erased was counted when it was embedded.
SELECT
    coalesce(sum(dataset.last_text_id), 0)
    - coalesce(sum((
        SELECT coalesce(sum(chunk.last_text_id - chunk.first_text_id + 1), 0)
        FROM embed_chunk AS chunk
        WHERE chunk.dataset_id = dataset.dataset_id AND chunk.encoder_id = :encoder_id AND chunk.state = 'done'
    )), 0) AS missing
FROM dataset
WHERE
    NOT EXISTS (
        SELECT
        FROM retracted_dataset
        INNER JOIN retraction USING (retraction_id)
        WHERE retracted_dataset.dataset_id = dataset.dataset_id AND retraction.undone_at IS NULL
    )
