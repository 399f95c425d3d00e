-- A training set's members in order, each first with its own call and row, then with those of its parents.
SELECT
    makers.place AS position,
    makers.example_id,
    makers.maker_id,
    CASE WHEN makers.maker_id = makers.example_id AND example.erased_by IS NULL THEN example.input END AS input,
    CASE WHEN makers.maker_id = makers.example_id AND example.erased_by IS NULL THEN example.output END AS output,
    CASE WHEN makers.maker_id = makers.example_id THEN example.rationale END AS rationale,
    example.content_hash AS example_hash,
    example.created_at AS example_made_at,
    example.erased_by IS NOT NULL AS example_erased,
    generation.generation_id,
    generation.created_at AS answered_at,
    generation.latency_seconds,
    generation.reused_from,
    generation.prompt_hash AS rendered_hash,
    generation.teacher_id,
    generation.prompt_id,
    worker.code_version,
    link.link_id,
    link.entered_by AS retrieval_id,
    dataset.dataset_id,
    dataset.name AS dataset,
    dataset.licence,
    dataset_split.split_id,
    dataset_split.config,
    dataset_split.split,
    ingest_split.ingest_id,
    ingest_split.revision,
    source_row.row_id,
    source_row.source_index,
    source_row.source_key,
    source_row.content_hash AS row_hash,
    source_row.retracted_at,
    source_row.erased_by IS NOT NULL AS row_erased,
    CASE WHEN source_row.retracted_at IS NULL THEN CAST('{}' AS integer []) ELSE array(
        SELECT retraction.retraction_id
        FROM retracted_row
        INNER JOIN retraction USING (retraction_id)
        WHERE
            retracted_row.dataset_id = source_row.dataset_id
            AND retracted_row.row_id = source_row.row_id
            AND retraction.undone_at IS NULL
        ORDER BY retraction.retraction_id
    ) END AS retractions,
    array(
        SELECT example_parent.parent_id
        FROM example_parent
        WHERE example_parent.example_id = makers.maker_id
        ORDER BY example_parent.parent_id
    ) AS parents
FROM lineage.makers_of_set(:training_set_id) AS makers
INNER JOIN example ON example.example_id = makers.maker_id
INNER JOIN generation USING (generation_id)
INNER JOIN worker USING (worker_id)
INNER JOIN retrieval_link AS link ON link.link_id = example.link_id
INNER JOIN dataset ON dataset.dataset_id = link.dataset_id
INNER JOIN source_row ON source_row.dataset_id = link.dataset_id AND source_row.row_id = link.row_id
INNER JOIN dataset_split ON dataset_split.dataset_id = source_row.dataset_id AND dataset_split.split_id = source_row.split_id
INNER JOIN ingest_split
    ON ingest_split.dataset_id = source_row.dataset_id
    AND ingest_split.ingest_id = source_row.ingest_id
    AND ingest_split.split_id = source_row.split_id
ORDER BY makers.place, makers.maker_id <> makers.example_id, makers.maker_id
