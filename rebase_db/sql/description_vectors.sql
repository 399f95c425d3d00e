-- The vectors of some datasets' descriptions.
SELECT dataset.dataset_id, halfvec_send(embedding.vector) AS vector
FROM dataset
INNER JOIN embedding
    ON embedding.dataset_id = dataset.dataset_id
    AND embedding.text_id = dataset.description_text_id
    AND embedding.encoder_id = :encoder_id
WHERE dataset.dataset_id = ANY(:dataset_ids)
