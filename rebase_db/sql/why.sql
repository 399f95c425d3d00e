-- One example's way back to its source row: call, link, winning cells, row, dataset and load. In steps of few tables:
-- planning one join of twenty takes a hundred times as long as reading its single row.
WITH made AS MATERIALIZED (
    SELECT
        example.example_id,
        example.input,
        example.output,
        example.rationale,
        example.erased_by AS example_erased_by,
        encode(example.content_hash, 'hex') AS example_hash,
        example.link_id,
        generation.generation_id,
        coalesce(generation.raw_answer, asked.raw_answer) AS raw_answer,
        generation.erased_by AS answer_erased_by,
        generation.reused_from,
        generation.reading,
        generation.cuts,
        generation.attempt,
        generation.prompt_tokens,
        generation.completion_tokens,
        generation.cost,
        generation.created_at AS generated_at,
        teacher.teacher_id,
        teacher.provider AS teacher_provider,
        teacher.model AS teacher_model,
        prompt.prompt_id,
        prompt.name AS prompt_name,
        encode(generation.prompt_hash, 'hex') AS prompt_hash
    FROM example
    INNER JOIN generation ON generation.generation_id = example.generation_id
    -- The call that was paid, where its answer was used again.
    LEFT JOIN generation AS asked ON asked.generation_id = generation.reused_from
    INNER JOIN teacher ON teacher.teacher_id = generation.teacher_id
    INNER JOIN prompt ON prompt.prompt_id = generation.prompt_id
    WHERE example.example_id = :example_id
),

chosen AS MATERIALIZED (
    SELECT
        task.name AS task,
        task_version.version AS task_version,
        link.dataset_id,
        link.row_id,
        link.input_column_id,
        link.output_column_id,
        link.state AS link_state,
        link.error AS link_error,
        link.attempt AS last_attempt,
        link.rank,
        link.score,
        link.input_score,
        link.output_score,
        link.dataset_score,
        link.entered_by,
        link.displaced_by,
        link.retracted_at,
        retrieval.retrieval_id,
        retrieval.scoring,
        retrieval.top_n,
        retrieval.rows_scored,
        retrieval.cutoff_score,
        encoder.name AS encoder,
        encoder.revision AS encoder_revision
    FROM made
    INNER JOIN retrieval_link AS link USING (link_id)
    INNER JOIN task_version USING (task_version_id)
    INNER JOIN task USING (task_id)
    -- The ranking that rank and score are of: the newest, or the last before the link was displaced.
    INNER JOIN retrieval
        ON retrieval.retrieval_id = (
            SELECT max(ranked.retrieval_id)
            FROM retrieval AS ranked
            WHERE
                ranked.task_version_id = link.task_version_id
                AND ranked.encoder_id = link.encoder_id
                AND ranked.state = 'done'
                AND (link.displaced_by IS NULL OR ranked.retrieval_id < link.displaced_by)
        )
    INNER JOIN encoder ON encoder.encoder_id = link.encoder_id
),

won AS MATERIALIZED (
    SELECT
        (
            SELECT name FROM dataset_column
            WHERE dataset_id = chosen.dataset_id AND column_id = chosen.input_column_id
        ) AS input_column,
        (
            SELECT text.text FROM cell INNER JOIN text USING (dataset_id, text_id)
            WHERE dataset_id = chosen.dataset_id AND row_id = chosen.row_id AND column_id = chosen.input_column_id
        ) AS input_cell,
        (
            SELECT name FROM dataset_column
            WHERE dataset_id = chosen.dataset_id AND column_id = chosen.output_column_id
        ) AS output_column,
        (
            SELECT text.text FROM cell INNER JOIN text USING (dataset_id, text_id)
            WHERE dataset_id = chosen.dataset_id AND row_id = chosen.row_id AND column_id = chosen.output_column_id
        ) AS output_cell
    FROM chosen
),

source AS MATERIALIZED (
    SELECT
        dataset.name AS dataset,
        dataset.uri AS dataset_uri,
        dataset.licence,
        (
            SELECT text.text FROM text
            WHERE text.dataset_id = dataset.dataset_id AND text.text_id = dataset.description_text_id
        ) AS description,
        dataset_split.config,
        dataset_split.split,
        dataset_split.uri AS split_uri,
        ingest_split.revision,
        ingest_split.ingest_id,
        (
            SELECT created_at FROM ingest
            WHERE ingest.dataset_id = source_row.dataset_id AND ingest.ingest_id = source_row.ingest_id
        ) AS ingested_at,
        source_row.source_index,
        source_row.source_key,
        source_row.content,
        source_row.erased_by AS row_erased_by,
        encode(source_row.content_hash, 'hex') AS content_hash
    FROM chosen
    INNER JOIN source_row
        ON source_row.dataset_id = chosen.dataset_id AND source_row.row_id = chosen.row_id
    INNER JOIN dataset ON dataset.dataset_id = source_row.dataset_id
    INNER JOIN dataset_split
        ON dataset_split.dataset_id = source_row.dataset_id AND dataset_split.split_id = source_row.split_id
    INNER JOIN ingest_split
        ON ingest_split.dataset_id = source_row.dataset_id
        AND ingest_split.ingest_id = source_row.ingest_id
        AND ingest_split.split_id = source_row.split_id
)

SELECT
    made.*,
    made.attempt < chosen.last_attempt AS superseded,
    chosen.*,
    won.input_column,
    -- A text that other rows have stays, but an erased row is not to be read by it.
    CASE WHEN source.row_erased_by IS NULL THEN won.input_cell END AS input_cell,
    won.output_column,
    CASE WHEN source.row_erased_by IS NULL THEN won.output_cell END AS output_cell,
    source.*
FROM made
CROSS JOIN chosen
CROSS JOIN won
CROSS JOIN source
