-- Every encoder, how many vectors the corpus has of it, and of how many of the texts of datasets that are not withdrawn.
WITH corpus AS (
    SELECT dataset.dataset_id, dataset.last_text_id
    FROM dataset
    WHERE
        NOT EXISTS (
            SELECT
            FROM retracted_dataset
            INNER JOIN retraction USING (retraction_id)
            WHERE retracted_dataset.dataset_id = dataset.dataset_id AND retraction.undone_at IS NULL
        )
)

SELECT
    encoder.encoder_id,
    encoder.name,
    encoder.revision,
    encoder.width,
    encoder.precision,
    (SELECT count(*) FROM embedding WHERE embedding.encoder_id = encoder.encoder_id) AS vectors,
    coalesce((
        SELECT sum(chunk.last_text_id - chunk.first_text_id + 1)
        FROM embed_chunk AS chunk
        INNER JOIN corpus USING (dataset_id)
        WHERE chunk.encoder_id = encoder.encoder_id AND chunk.state = 'done'
    ), 0) AS texts,
    (SELECT coalesce(sum(last_text_id), 0) FROM corpus) AS texts_of_corpus,
    (
        SELECT count(DISTINCT (retrieval.task_version_id))
        FROM retrieval
        WHERE retrieval.encoder_id = encoder.encoder_id AND retrieval.state = 'done'
    ) AS task_versions
FROM encoder
ORDER BY encoder.encoder_id
