-- One example's way back to its source row: call, link, winning cells, row, dataset and load.
SELECT
    example.example_id,
    example.input,
    example.output,
    example.rationale,
    task.name AS task,
    task_version.version AS task_version,
    generation.generation_id,
    coalesce(generation.raw_answer, asked.raw_answer) AS raw_answer,
    generation.reused_from,
    generation.reading,
    generation.cuts,
    generation.attempt,
    generation.attempt < link.attempt AS superseded,
    generation.created_at AS generated_at,
    teacher.provider AS teacher_provider,
    teacher.model AS teacher_model,
    prompt.name AS prompt_name,
    encode(generation.prompt_hash, 'hex') AS prompt_hash,
    link.link_id,
    link.state AS link_state,
    link.error AS link_error,
    link.rank,
    link.score,
    link.input_score,
    link.output_score,
    link.dataset_score,
    link.displaced_by,
    input_column.name AS input_column,
    input_text.text AS input_cell,
    output_column.name AS output_column,
    output_text.text AS output_cell,
    retrieval.retrieval_id,
    retrieval.scoring,
    retrieval.top_n,
    retrieval.rows_scored,
    retrieval.cutoff_score,
    encoder.name AS encoder,
    encoder.revision AS encoder_revision,
    dataset.dataset_id,
    dataset.name AS dataset,
    dataset.uri AS dataset_uri,
    dataset.licence,
    description.text AS description,
    dataset_split.config,
    dataset_split.split,
    dataset_split.uri AS split_uri,
    ingest_split.revision,
    ingest.ingest_id,
    ingest.created_at AS ingested_at,
    source_row.row_id,
    source_row.source_index,
    source_row.source_key,
    source_row.content,
    encode(source_row.content_hash, 'hex') AS content_hash
FROM example
INNER JOIN generation ON generation.generation_id = example.generation_id
-- The call that was paid, where its answer was used again.
LEFT JOIN generation AS asked ON asked.generation_id = generation.reused_from
INNER JOIN teacher ON teacher.teacher_id = generation.teacher_id
INNER JOIN prompt ON prompt.prompt_id = generation.prompt_id
INNER JOIN retrieval_link AS link ON link.link_id = example.link_id
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
INNER JOIN encoder USING (encoder_id)
INNER JOIN retrieval ON retrieval.retrieval_id = link.entered_by
INNER JOIN source_row ON source_row.dataset_id = link.dataset_id AND source_row.row_id = link.row_id
INNER JOIN dataset ON dataset.dataset_id = link.dataset_id
INNER JOIN text AS description
    ON description.dataset_id = dataset.dataset_id AND description.text_id = dataset.description_text_id
INNER JOIN dataset_split
    ON dataset_split.dataset_id = source_row.dataset_id AND dataset_split.split_id = source_row.split_id
INNER JOIN ingest
    ON ingest.dataset_id = source_row.dataset_id AND ingest.ingest_id = source_row.ingest_id
INNER JOIN ingest_split
    ON ingest_split.dataset_id = source_row.dataset_id
    AND ingest_split.ingest_id = source_row.ingest_id
    AND ingest_split.split_id = source_row.split_id
INNER JOIN cell AS input_of
    ON input_of.dataset_id = link.dataset_id
    AND input_of.row_id = link.row_id
    AND input_of.column_id = link.input_column_id
INNER JOIN text AS input_text
    ON input_text.dataset_id = input_of.dataset_id AND input_text.text_id = input_of.text_id
INNER JOIN dataset_column AS input_column
    ON input_column.dataset_id = link.dataset_id AND input_column.column_id = link.input_column_id
INNER JOIN cell AS output_of
    ON output_of.dataset_id = link.dataset_id
    AND output_of.row_id = link.row_id
    AND output_of.column_id = link.output_column_id
INNER JOIN text AS output_text
    ON output_text.dataset_id = output_of.dataset_id AND output_text.text_id = output_of.text_id
INNER JOIN dataset_column AS output_column
    ON output_column.dataset_id = link.dataset_id AND output_column.column_id = link.output_column_id
WHERE example.example_id = :example_id
