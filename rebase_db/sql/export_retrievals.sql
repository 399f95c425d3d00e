-- The retrievals that found the rows behind a training set, with their encoders.
WITH RECURSIVE ancestry AS (
    SELECT member.position, member.example_id, member.example_id AS maker_id
    FROM training_set_member AS member
    WHERE member.training_set_id = :training_set_id
    UNION
    SELECT ancestry.position, ancestry.example_id, example_parent.parent_id
    FROM ancestry
    INNER JOIN example_parent ON example_parent.example_id = ancestry.maker_id
)

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
FROM ancestry
INNER JOIN example ON example.example_id = ancestry.maker_id
INNER JOIN generation USING (generation_id)
INNER JOIN retrieval_link AS link ON link.link_id = example.link_id
INNER JOIN retrieval ON retrieval.retrieval_id = link.entered_by
INNER JOIN encoder ON encoder.encoder_id = link.encoder_id
GROUP BY retrieval.retrieval_id, encoder.encoder_id
ORDER BY retrieval.retrieval_id
