-- The retrievals that found the rows behind some training sets, with their encoders.
SELECT
    retrieval.retrieval_id,
    retrieval.scoring,
    retrieval.top_n,
    retrieval.rows_scored,
    retrieval.created_at,
    retrieval.finished_at,
    encoder.encoder_id,
    encoder.name AS encoder,
    encoder.revision AS encoder_revision,
    encoder.weights_hash AS encoder_hash,
    array_agg(DISTINCT link.dataset_id ORDER BY link.dataset_id) AS dataset_ids,
    count(DISTINCT link.link_id) AS links,
    min(generation.created_at - make_interval(secs => generation.latency_seconds)) AS transform_began_at,
    max(generation.created_at) AS transform_ended_at
FROM unnest(CAST(:training_set_ids AS integer [])) AS asked (training_set_id)
CROSS JOIN LATERAL lineage.makers_of_set(asked.training_set_id) AS makers
INNER JOIN example ON example.example_id = makers.maker_id
INNER JOIN generation USING (generation_id)
INNER JOIN retrieval_link AS link ON link.link_id = example.link_id
INNER JOIN retrieval ON retrieval.retrieval_id = link.entered_by
INNER JOIN encoder ON encoder.encoder_id = link.encoder_id
GROUP BY retrieval.retrieval_id, encoder.encoder_id
ORDER BY retrieval.retrieval_id
