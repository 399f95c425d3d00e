-- The vectors of a range of datasets, packed in text order: one row per %(vectors_a_message)s texts. A range of the index
-- per message rather than a GROUP BY, which would sort a dataset's vectors before the first could be sent.
SELECT dataset.dataset_id, message.text_ids, message.vectors
FROM dataset
CROSS JOIN LATERAL generate_series(1, dataset.last_text_id, %(vectors_a_message)s) AS first_text_id
CROSS JOIN LATERAL (
    SELECT
        string_agg(int4send(embedding.text_id), '' ORDER BY embedding.text_id) AS text_ids,
        string_agg(halfvec_send(embedding.vector), '' ORDER BY embedding.text_id) AS vectors
    FROM embedding
    WHERE
        embedding.dataset_id = dataset.dataset_id
        AND embedding.encoder_id = %(encoder_id)s
        AND embedding.text_id BETWEEN first_text_id AND first_text_id + %(vectors_a_message)s - 1
) AS message
WHERE dataset.dataset_id BETWEEN %(first)s AND %(last)s AND message.text_ids IS NOT NULL
