-- The vectors of a range of datasets, packed in text order: one row per %(vectors_a_message)s texts.
SELECT
    dataset_id,
    string_agg(int4send(text_id), '' ORDER BY text_id) AS text_ids,
    string_agg(halfvec_send(vector), '' ORDER BY text_id) AS vectors
FROM embedding
WHERE encoder_id = %(encoder_id)s AND dataset_id BETWEEN %(first)s AND %(last)s
GROUP BY dataset_id, text_id / %(vectors_a_message)s
ORDER BY dataset_id, text_id / %(vectors_a_message)s
