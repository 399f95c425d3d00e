-- The vectors of runs of texts, packed in text order: one row a run. A range of the index per run rather than a GROUP BY, which
-- would sort a dataset's vectors before the first could be sent.
SELECT run.dataset_id, message.text_ids, message.vectors
FROM unnest(%(dataset_ids)s::integer[], %(firsts)s::integer[], %(lasts)s::integer[]) AS run (dataset_id, first_id, last_id)
CROSS JOIN LATERAL (
    SELECT
        string_agg(int4send(embedding.text_id), '' ORDER BY embedding.text_id) AS text_ids,
        string_agg(halfvec_send(embedding.vector), '' ORDER BY embedding.text_id) AS vectors
    FROM embedding
    WHERE
        embedding.dataset_id = run.dataset_id
        AND embedding.encoder_id = %(encoder_id)s
        AND embedding.text_id BETWEEN run.first_id AND run.last_id
) AS message
WHERE message.text_ids IS NOT NULL
