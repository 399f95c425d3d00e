-- The splits behind some training sets, a line for each revision they were read in, through example parents too.
WITH made AS (
    SELECT makers.example_id, source_row.*
    FROM unnest(CAST(:training_set_ids AS integer [])) AS asked (training_set_id)
    CROSS JOIN LATERAL lineage.makers_of_set(asked.training_set_id) AS makers
    INNER JOIN example ON example.example_id = makers.maker_id
    INNER JOIN retrieval_link AS link USING (link_id)
    INNER JOIN source_row USING (dataset_id, row_id)
)

SELECT
    dataset.dataset_id,
    dataset.name AS dataset,
    dataset.uri,
    dataset.licence,
    description.text AS description,
    dataset_split.split_id,
    dataset_split.config,
    dataset_split.split,
    dataset_split.uri AS split_uri,
    ingest.ingest_id,
    ingest.created_at AS ingested_at,
    ingest.code_version,
    ingest_split.revision,
    ingest_split.rows_added,
    ingest_split.rows_unchanged,
    ingest_split.rows_rejected,
    count(DISTINCT made.example_id) AS examples,
    count(DISTINCT made.row_id) AS rows_used,
    count(DISTINCT made.row_id) FILTER (WHERE made.retracted_at IS NOT NULL) AS rows_retracted,
    count(DISTINCT made.row_id) FILTER (WHERE made.erased_by IS NOT NULL) AS rows_erased
FROM made
INNER JOIN dataset USING (dataset_id)
INNER JOIN text AS description
    ON description.dataset_id = dataset.dataset_id AND description.text_id = dataset.description_text_id
INNER JOIN dataset_split ON dataset_split.dataset_id = made.dataset_id AND dataset_split.split_id = made.split_id
INNER JOIN ingest ON ingest.dataset_id = made.dataset_id AND ingest.ingest_id = made.ingest_id
INNER JOIN ingest_split
    ON ingest_split.dataset_id = made.dataset_id
    AND ingest_split.ingest_id = made.ingest_id
    AND ingest_split.split_id = made.split_id
GROUP BY
    dataset.dataset_id, description.text, dataset_split.dataset_id, dataset_split.split_id, ingest.dataset_id,
    ingest.ingest_id, ingest_split.dataset_id, ingest_split.ingest_id, ingest_split.split_id
ORDER BY dataset.name, dataset_split.split_id, ingest.ingest_id
