CREATE EXTENSION IF NOT EXISTS vector;

-- A dataset as its owner publishes it: the unit of licence, description and withdrawal.
CREATE TABLE dataset (
    dataset_id INTEGER GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    uri TEXT NOT NULL,
    licence TEXT,
    description_text_id INTEGER NOT NULL,
    description_given BOOLEAN NOT NULL,
    last_row_id INTEGER DEFAULT 0 NOT NULL,
    last_text_id INTEGER DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT dataset_pkey PRIMARY KEY (dataset_id),
    CONSTRAINT dataset_name_check CHECK (name <> ''),
    CONSTRAINT dataset_name_key UNIQUE (name)
);

-- An embedding model, identified by everything that changes its vectors.
CREATE TABLE encoder (
    encoder_id INTEGER GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    revision TEXT NOT NULL,
    weights_hash BYTEA NOT NULL,
    width INTEGER NOT NULL,
    max_tokens INTEGER NOT NULL,
    precision TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT encoder_pkey PRIMARY KEY (encoder_id),
    CONSTRAINT encoder_weights_hash_name_revision_max_tokens_precision_key UNIQUE (weights_hash, name, revision, max_tokens, precision),
    CONSTRAINT encoder_encoder_id_width_key UNIQUE (encoder_id, width),
    CONSTRAINT encoder_width_check CHECK (width BETWEEN 1 AND 4000),
    CONSTRAINT encoder_weights_hash_length_check CHECK (octet_length(weights_hash) = 32)
);

-- A file of held-out items, by its content.
CREATE TABLE benchmark (
    benchmark_id INTEGER GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    uri TEXT NOT NULL,
    content_hash BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT benchmark_pkey PRIMARY KEY (benchmark_id),
    CONSTRAINT benchmark_content_hash_length_check CHECK (octet_length(content_hash) = 32),
    CONSTRAINT benchmark_content_hash_key UNIQUE (content_hash)
);

-- A process that claims rows. Its rows' leases live as long as `heartbeat_at` is fresh.
CREATE TABLE worker (
    worker_id INTEGER GENERATED ALWAYS AS IDENTITY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    code_version TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    heartbeat_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    stopped_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT worker_pkey PRIMARY KEY (worker_id)
);

-- A task by name, with its newest file (sources, teacher, student, benchmark), from which commands take settings.
CREATE TABLE task (
    task_id INTEGER GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    settings JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT task_pkey PRIMARY KEY (task_id),
    CONSTRAINT task_name_key UNIQUE (name)
);

-- Who answers: provider, model, sampling. `content_hash` (tag `teacher/v1`) is over `identity`.
CREATE TABLE teacher (
    teacher_id INTEGER GENERATED ALWAYS AS IDENTITY,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    identity JSONB NOT NULL,
    content_hash BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT teacher_pkey PRIMARY KEY (teacher_id),
    CONSTRAINT teacher_content_hash_length_check CHECK (octet_length(content_hash) = 32),
    CONSTRAINT teacher_content_hash_key UNIQUE (content_hash)
);

-- A prompt template by name and content; `content_hash` as the template's own module defines it.
CREATE TABLE prompt (
    prompt_id INTEGER GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    template TEXT NOT NULL,
    content_hash BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT prompt_pkey PRIMARY KEY (prompt_id),
    CONSTRAINT prompt_content_hash_length_check CHECK (octet_length(content_hash) = 32),
    CONSTRAINT prompt_content_hash_key UNIQUE (content_hash)
);

-- One config and split of a dataset: the space `source_index` counts in.
CREATE TABLE dataset_split (
    dataset_id INTEGER NOT NULL,
    split_id SMALLINT NOT NULL,
    config TEXT NOT NULL,
    split TEXT NOT NULL,
    uri TEXT NOT NULL,
    CONSTRAINT dataset_split_pkey PRIMARY KEY (dataset_id, split_id),
    CONSTRAINT dataset_split_dataset_id_config_split_key UNIQUE (dataset_id, config, split),
    CONSTRAINT dataset_split_dataset_id_fkey FOREIGN KEY(dataset_id) REFERENCES dataset (dataset_id)
);

-- A column name of a dataset; nested fields carry dotted names.
CREATE TABLE dataset_column (
    dataset_id INTEGER NOT NULL,
    column_id SMALLINT NOT NULL,
    name TEXT NOT NULL,
    CONSTRAINT dataset_column_pkey PRIMARY KEY (dataset_id, column_id),
    CONSTRAINT dataset_column_dataset_id_name_key UNIQUE (dataset_id, name),
    CONSTRAINT dataset_column_dataset_id_fkey FOREIGN KEY(dataset_id) REFERENCES dataset (dataset_id)
);

-- One load of one dataset, committed whole: what it added and what it left out.
CREATE TABLE ingest (
    dataset_id INTEGER NOT NULL,
    ingest_id INTEGER NOT NULL,
    texts_added INTEGER DEFAULT 0 NOT NULL,
    cells_added INTEGER DEFAULT 0 NOT NULL,
    code_version TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT ingest_pkey PRIMARY KEY (dataset_id, ingest_id),
    CONSTRAINT ingest_dataset_id_fkey FOREIGN KEY(dataset_id) REFERENCES dataset (dataset_id)
);

-- A distinct text of a dataset, stored and embedded once however many cells hold it.
CREATE TABLE text (
    dataset_id INTEGER NOT NULL,
    text_id INTEGER NOT NULL,
    sha256 BYTEA NOT NULL,
    text TEXT NOT NULL,
    CONSTRAINT text_pkey PRIMARY KEY (dataset_id, text_id),
    CONSTRAINT text_dataset_id_sha256_key UNIQUE (dataset_id, sha256),
    CONSTRAINT text_sha256_check CHECK (sha256 = sha256(convert_to(text, 'UTF8'))),
    CONSTRAINT text_dataset_id_fkey FOREIGN KEY(dataset_id) REFERENCES dataset (dataset_id)
);

-- One item: what the student is asked and what it should answer.
CREATE TABLE benchmark_item (
    benchmark_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    item_key TEXT NOT NULL,
    input TEXT NOT NULL,
    output TEXT NOT NULL,
    CONSTRAINT benchmark_item_pkey PRIMARY KEY (benchmark_id, position),
    CONSTRAINT benchmark_item_benchmark_id_item_key_key UNIQUE (benchmark_id, item_key),
    CONSTRAINT benchmark_item_benchmark_id_fkey FOREIGN KEY(benchmark_id) REFERENCES benchmark (benchmark_id)
);

-- A transition of a claimed row, written in the statement that made it; append-only.
CREATE TABLE event (
    event_id BIGINT GENERATED ALWAYS AS IDENTITY,
    queue TEXT NOT NULL,
    item_id BIGINT NOT NULL,
    attempt SMALLINT NOT NULL,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    event TEXT NOT NULL,
    worker_id INTEGER,
    detail TEXT,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT event_pkey PRIMARY KEY (event_id),
    CONSTRAINT event_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES worker (worker_id)
);

CREATE INDEX event_queue_item_id_idx ON event (queue, item_id);

-- What a task asks for. Any change makes a new version; `content_hash` (tag `task_version/v1`) is over the rest.
CREATE TABLE task_version (
    task_version_id INTEGER GENERATED ALWAYS AS IDENTITY,
    task_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    instruction TEXT NOT NULL,
    retrieval_instruction TEXT NOT NULL,
    examples JSONB NOT NULL,
    retrieval_examples JSONB NOT NULL,
    labels JSONB,
    reasoning BOOLEAN NOT NULL,
    notes TEXT NOT NULL,
    content_hash BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT task_version_pkey PRIMARY KEY (task_version_id),
    CONSTRAINT task_version_task_id_version_key UNIQUE (task_id, version),
    CONSTRAINT task_version_task_id_content_hash_key UNIQUE (task_id, content_hash),
    CONSTRAINT task_version_content_hash_length_check CHECK (octet_length(content_hash) = 32),
    CONSTRAINT task_version_task_id_fkey FOREIGN KEY(task_id) REFERENCES task (task_id)
);

-- A column as one split has it: its place, its type at the source, and why it was left out, if it was.
CREATE TABLE split_column (
    dataset_id INTEGER NOT NULL,
    split_id SMALLINT NOT NULL,
    column_id SMALLINT NOT NULL,
    position SMALLINT NOT NULL,
    source_type TEXT NOT NULL,
    left_out TEXT,
    CONSTRAINT split_column_pkey PRIMARY KEY (dataset_id, split_id, column_id),
    CONSTRAINT split_column_dataset_id_split_id_fkey FOREIGN KEY(dataset_id, split_id) REFERENCES dataset_split (dataset_id, split_id),
    CONSTRAINT split_column_dataset_id_column_id_fkey FOREIGN KEY(dataset_id, column_id) REFERENCES dataset_column (dataset_id, column_id)
);

-- One split in one load: the revision read, and its rows by what became of them.
CREATE TABLE ingest_split (
    dataset_id INTEGER NOT NULL,
    ingest_id INTEGER NOT NULL,
    split_id SMALLINT NOT NULL,
    revision TEXT NOT NULL,
    max_rows INTEGER,
    rows_in_source BIGINT,
    rows_added INTEGER DEFAULT 0 NOT NULL,
    rows_unchanged INTEGER DEFAULT 0 NOT NULL,
    rows_rejected INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT ingest_split_pkey PRIMARY KEY (dataset_id, ingest_id, split_id),
    CONSTRAINT ingest_split_dataset_id_ingest_id_fkey FOREIGN KEY(dataset_id, ingest_id) REFERENCES ingest (dataset_id, ingest_id),
    CONSTRAINT ingest_split_dataset_id_split_id_fkey FOREIGN KEY(dataset_id, split_id) REFERENCES dataset_split (dataset_id, split_id)
);

-- A frozen, ordered choice of examples. `manifest_hash` (tag `training_set/v1`) is over the examples' hashes in
-- order.
CREATE TABLE training_set (
    training_set_id INTEGER GENERATED ALWAYS AS IDENTITY,
    task_version_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    selection JSONB NOT NULL,
    manifest_hash BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT training_set_pkey PRIMARY KEY (training_set_id),
    CONSTRAINT training_set_size_check CHECK (size > 0),
    CONSTRAINT training_set_manifest_hash_length_check CHECK (octet_length(manifest_hash) = 32),
    CONSTRAINT training_set_task_version_id_fkey FOREIGN KEY(task_version_id) REFERENCES task_version (task_version_id),
    CONSTRAINT training_set_name_key UNIQUE (name)
);

CREATE INDEX training_set_task_version_id_manifest_hash_idx ON training_set (task_version_id, manifest_hash);

-- A run of consecutive texts of a dataset to be embedded by one encoder, claimed whole.
CREATE TABLE embed_chunk (
    embed_chunk_id BIGINT GENERATED ALWAYS AS IDENTITY,
    encoder_id INTEGER NOT NULL,
    dataset_id INTEGER NOT NULL,
    first_text_id INTEGER NOT NULL,
    last_text_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    worker_id INTEGER,
    attempt SMALLINT DEFAULT 0 NOT NULL,
    attempt_limit SMALLINT DEFAULT 5 NOT NULL,
    ready_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    error TEXT,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT embed_chunk_pkey PRIMARY KEY (embed_chunk_id),
    CONSTRAINT embed_chunk_dataset_id_first_text_id_fkey FOREIGN KEY(dataset_id, first_text_id) REFERENCES text (dataset_id, text_id),
    CONSTRAINT embed_chunk_dataset_id_last_text_id_fkey FOREIGN KEY(dataset_id, last_text_id) REFERENCES text (dataset_id, text_id),
    CONSTRAINT embed_chunk_dataset_id_encoder_id_first_text_id_key UNIQUE (dataset_id, encoder_id, first_text_id),
    CONSTRAINT embed_chunk_range_check CHECK (last_text_id >= first_text_id),
    CONSTRAINT embed_chunk_state_check CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    CONSTRAINT embed_chunk_worker_check CHECK ((worker_id IS NOT NULL) = (state = 'running')),
    CONSTRAINT embed_chunk_finished_check CHECK ((finished_at IS NOT NULL) = (state IN ('done', 'failed'))),
    CONSTRAINT embed_chunk_failure_has_error_check CHECK ((state <> 'failed') OR (error IS NOT NULL)),
    CONSTRAINT embed_chunk_attempt_check CHECK (attempt BETWEEN 0 AND attempt_limit),
    CONSTRAINT embed_chunk_encoder_id_fkey FOREIGN KEY(encoder_id) REFERENCES encoder (encoder_id),
    CONSTRAINT embed_chunk_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES worker (worker_id)
);

CREATE INDEX embed_chunk_running_idx ON embed_chunk (worker_id) WHERE state = 'running';

CREATE INDEX embed_chunk_waiting_idx ON embed_chunk (encoder_id, embed_chunk_id) WHERE state = 'waiting';

-- The unit vector of a text under an encoder. `width` ties the vector's length to the encoder's.
CREATE TABLE embedding (
    dataset_id INTEGER NOT NULL,
    encoder_id INTEGER NOT NULL,
    text_id INTEGER NOT NULL,
    width INTEGER NOT NULL,
    vector HALFVEC NOT NULL,
    CONSTRAINT embedding_pkey PRIMARY KEY (dataset_id, encoder_id, text_id),
    CONSTRAINT embedding_dataset_id_text_id_fkey FOREIGN KEY(dataset_id, text_id) REFERENCES text (dataset_id, text_id),
    CONSTRAINT embedding_encoder_id_width_fkey FOREIGN KEY(encoder_id, width) REFERENCES encoder (encoder_id, width),
    CONSTRAINT embedding_width_check CHECK (vector_dims(vector) = width),
    CONSTRAINT embedding_unit_length_check CHECK (l2_norm(vector) BETWEEN 0.99 AND 1.01)
);

-- A retrieval run: what was asked, and what it found when it was done.
CREATE TABLE retrieval (
    retrieval_id INTEGER GENERATED ALWAYS AS IDENTITY,
    task_version_id INTEGER NOT NULL,
    encoder_id INTEGER NOT NULL,
    top_n INTEGER NOT NULL,
    scoring TEXT NOT NULL,
    mirrors TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    rows_scored INTEGER,
    rows_entered INTEGER,
    rows_kept INTEGER,
    rows_displaced INTEGER,
    mirrors_left_out INTEGER,
    cutoff_score DOUBLE PRECISION,
    state TEXT NOT NULL,
    worker_id INTEGER,
    attempt SMALLINT DEFAULT 0 NOT NULL,
    attempt_limit SMALLINT DEFAULT 5 NOT NULL,
    ready_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    error TEXT,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT retrieval_pkey PRIMARY KEY (retrieval_id),
    CONSTRAINT retrieval_retrieval_id_task_version_id_encoder_id_key UNIQUE (retrieval_id, task_version_id, encoder_id),
    CONSTRAINT retrieval_top_n_check CHECK (top_n > 0),
    CONSTRAINT retrieval_scoring_check CHECK (scoring IN ('average-score', 'average-rank', 'max-rank')),
    CONSTRAINT retrieval_mirrors_check CHECK (mirrors IN ('first', 'all')),
    CONSTRAINT retrieval_done_has_counts_check CHECK ((state = 'done') = (rows_scored IS NOT NULL)),
    CONSTRAINT retrieval_state_check CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    CONSTRAINT retrieval_worker_check CHECK ((worker_id IS NOT NULL) = (state = 'running')),
    CONSTRAINT retrieval_finished_check CHECK ((finished_at IS NOT NULL) = (state IN ('done', 'failed'))),
    CONSTRAINT retrieval_failure_has_error_check CHECK ((state <> 'failed') OR (error IS NOT NULL)),
    CONSTRAINT retrieval_attempt_check CHECK (attempt BETWEEN 0 AND attempt_limit),
    CONSTRAINT retrieval_task_version_id_fkey FOREIGN KEY(task_version_id) REFERENCES task_version (task_version_id),
    CONSTRAINT retrieval_encoder_id_fkey FOREIGN KEY(encoder_id) REFERENCES encoder (encoder_id),
    CONSTRAINT retrieval_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES worker (worker_id)
);

CREATE INDEX retrieval_running_idx ON retrieval (worker_id) WHERE state = 'running';

CREATE INDEX retrieval_task_version_id_encoder_id_idx ON retrieval (task_version_id, encoder_id);

CREATE INDEX retrieval_waiting_idx ON retrieval (retrieval_id) WHERE state = 'waiting';

-- The query vectors of a task version: the mean of its example vectors (not unit), and its instruction's vector.
CREATE TABLE task_vector (
    task_version_id INTEGER NOT NULL,
    encoder_id INTEGER NOT NULL,
    input_mean REAL[] NOT NULL,
    output_mean REAL[] NOT NULL,
    instruction REAL[] NOT NULL,
    CONSTRAINT task_vector_pkey PRIMARY KEY (task_version_id, encoder_id),
    CONSTRAINT task_vector_task_version_id_fkey FOREIGN KEY(task_version_id) REFERENCES task_version (task_version_id),
    CONSTRAINT task_vector_encoder_id_fkey FOREIGN KEY(encoder_id) REFERENCES encoder (encoder_id)
);

-- A row of the source that was left out under `--on-error skip`, and why.
CREATE TABLE ingest_rejection (
    dataset_id INTEGER NOT NULL,
    ingest_id INTEGER NOT NULL,
    split_id SMALLINT NOT NULL,
    source_index BIGINT NOT NULL,
    line BIGINT,
    column_name TEXT,
    reason TEXT NOT NULL,
    CONSTRAINT ingest_rejection_pkey PRIMARY KEY (dataset_id, ingest_id, split_id, source_index),
    CONSTRAINT ingest_rejection_dataset_id_ingest_id_split_id_fkey FOREIGN KEY(dataset_id, ingest_id, split_id) REFERENCES ingest_split (dataset_id, ingest_id, split_id)
);

-- A row as its source has it: where it stands there, its content, and the content's hash.
CREATE TABLE source_row (
    dataset_id INTEGER NOT NULL,
    row_id INTEGER NOT NULL,
    ingest_id INTEGER NOT NULL,
    split_id SMALLINT NOT NULL,
    source_index BIGINT NOT NULL,
    source_key TEXT,
    content JSONB NOT NULL,
    content_hash BYTEA NOT NULL,
    retracted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT source_row_pkey PRIMARY KEY (dataset_id, row_id),
    CONSTRAINT source_row_dataset_id_ingest_id_split_id_fkey FOREIGN KEY(dataset_id, ingest_id, split_id) REFERENCES ingest_split (dataset_id, ingest_id, split_id),
    CONSTRAINT source_row_dataset_id_split_id_source_index_key UNIQUE (dataset_id, split_id, source_index),
    CONSTRAINT source_row_content_check CHECK (jsonb_typeof(content) = 'object'),
    CONSTRAINT source_row_content_hash_length_check CHECK (octet_length(content_hash) = 32)
);

CREATE INDEX source_row_content_hash_idx ON source_row (content_hash);

-- A student trained on a training set. `run_key` (tag `training_run/v1`) is over all that decides the outcome.
CREATE TABLE training_run (
    training_run_id INTEGER GENERATED ALWAYS AS IDENTITY,
    training_set_id INTEGER NOT NULL,
    student TEXT NOT NULL,
    base TEXT NOT NULL,
    base_revision TEXT NOT NULL,
    base_weights_hash BYTEA NOT NULL,
    hyperparameters JSONB NOT NULL,
    seed INTEGER NOT NULL,
    code_version TEXT NOT NULL,
    run_key BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    environment JSONB,
    artifact_path TEXT,
    artifact_hash BYTEA,
    state TEXT NOT NULL,
    worker_id INTEGER,
    attempt SMALLINT DEFAULT 0 NOT NULL,
    attempt_limit SMALLINT DEFAULT 5 NOT NULL,
    ready_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    error TEXT,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT training_run_pkey PRIMARY KEY (training_run_id),
    CONSTRAINT training_run_done_has_artifact_check CHECK ((state = 'done') = (artifact_hash IS NOT NULL)),
    CONSTRAINT training_run_artifact_check CHECK ((artifact_hash IS NULL) = (artifact_path IS NULL)),
    CONSTRAINT training_run_base_weights_hash_length_check CHECK (octet_length(base_weights_hash) = 32),
    CONSTRAINT training_run_run_key_length_check CHECK (octet_length(run_key) = 32),
    CONSTRAINT training_run_artifact_hash_length_check CHECK (octet_length(artifact_hash) = 32),
    CONSTRAINT training_run_state_check CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    CONSTRAINT training_run_worker_check CHECK ((worker_id IS NOT NULL) = (state = 'running')),
    CONSTRAINT training_run_finished_check CHECK ((finished_at IS NOT NULL) = (state IN ('done', 'failed'))),
    CONSTRAINT training_run_failure_has_error_check CHECK ((state <> 'failed') OR (error IS NOT NULL)),
    CONSTRAINT training_run_attempt_check CHECK (attempt BETWEEN 0 AND attempt_limit),
    CONSTRAINT training_run_training_set_id_fkey FOREIGN KEY(training_set_id) REFERENCES training_set (training_set_id),
    CONSTRAINT training_run_run_key_key UNIQUE (run_key),
    CONSTRAINT training_run_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES worker (worker_id)
);

CREATE INDEX training_run_running_idx ON training_run (worker_id) WHERE state = 'running';

CREATE INDEX training_run_training_set_id_idx ON training_run (training_set_id);

CREATE INDEX training_run_waiting_idx ON training_run (training_run_id) WHERE state = 'waiting';

-- A dataset a retrieval was told to leave out of the ranking. Its rows are scored all the same.
CREATE TABLE retrieval_exclusion (
    retrieval_id INTEGER NOT NULL,
    dataset_id INTEGER NOT NULL,
    CONSTRAINT retrieval_exclusion_pkey PRIMARY KEY (retrieval_id, dataset_id),
    CONSTRAINT retrieval_exclusion_retrieval_id_fkey FOREIGN KEY(retrieval_id) REFERENCES retrieval (retrieval_id),
    CONSTRAINT retrieval_exclusion_dataset_id_fkey FOREIGN KEY(dataset_id) REFERENCES dataset (dataset_id)
);

-- Part scores of all rows of a dataset for a task version, as parallel arrays in the order of `row_ids`.
CREATE TABLE row_score (
    task_version_id INTEGER NOT NULL,
    encoder_id INTEGER NOT NULL,
    dataset_id INTEGER NOT NULL,
    retrieval_id INTEGER NOT NULL,
    dataset_score REAL NOT NULL,
    row_ids INTEGER[] NOT NULL,
    input_scores REAL[] NOT NULL,
    output_scores REAL[] NOT NULL,
    input_columns SMALLINT[] NOT NULL,
    output_columns SMALLINT[] NOT NULL,
    CONSTRAINT row_score_pkey PRIMARY KEY (task_version_id, encoder_id, dataset_id),
    CONSTRAINT row_score_retrieval_id_task_version_id_encoder_id_fkey FOREIGN KEY(retrieval_id, task_version_id, encoder_id) REFERENCES retrieval (retrieval_id, task_version_id, encoder_id),
    CONSTRAINT row_score_parallel_check CHECK (cardinality(input_scores) = cardinality(row_ids) AND cardinality(output_scores) = cardinality(row_ids) AND cardinality(input_columns) = cardinality(row_ids) AND cardinality(output_columns) = cardinality(row_ids)),
    CONSTRAINT row_score_dataset_id_fkey FOREIGN KEY(dataset_id) REFERENCES dataset (dataset_id)
);

-- Which text stands in which column of which row. Null values have no cell.
CREATE TABLE cell (
    dataset_id INTEGER NOT NULL,
    row_id INTEGER NOT NULL,
    column_id SMALLINT NOT NULL,
    text_id INTEGER NOT NULL,
    CONSTRAINT cell_pkey PRIMARY KEY (dataset_id, row_id, column_id),
    CONSTRAINT cell_dataset_id_row_id_fkey FOREIGN KEY(dataset_id, row_id) REFERENCES source_row (dataset_id, row_id),
    CONSTRAINT cell_dataset_id_column_id_fkey FOREIGN KEY(dataset_id, column_id) REFERENCES dataset_column (dataset_id, column_id),
    CONSTRAINT cell_dataset_id_text_id_fkey FOREIGN KEY(dataset_id, text_id) REFERENCES text (dataset_id, text_id)
);

CREATE INDEX cell_dataset_id_text_id_idx ON cell (dataset_id, text_id);

-- A number measured while training; `attempt` keeps the curve of a restarted run apart from the first one's.
CREATE TABLE metric (
    training_run_id INTEGER NOT NULL,
    attempt SMALLINT NOT NULL,
    name TEXT NOT NULL,
    step INTEGER NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    CONSTRAINT metric_pkey PRIMARY KEY (training_run_id, attempt, name, step),
    CONSTRAINT metric_training_run_id_fkey FOREIGN KEY(training_run_id) REFERENCES training_run (training_run_id)
);

-- A training run's score on a benchmark, with its 95 % interval and the majority class beside it.
CREATE TABLE evaluation (
    evaluation_id INTEGER GENERATED ALWAYS AS IDENTITY,
    training_run_id INTEGER NOT NULL,
    benchmark_id INTEGER NOT NULL,
    metric TEXT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    low DOUBLE PRECISION NOT NULL,
    high DOUBLE PRECISION NOT NULL,
    majority DOUBLE PRECISION NOT NULL,
    items INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT evaluation_pkey PRIMARY KEY (evaluation_id),
    CONSTRAINT evaluation_training_run_id_benchmark_id_metric_key UNIQUE (training_run_id, benchmark_id, metric),
    CONSTRAINT evaluation_evaluation_id_benchmark_id_key UNIQUE (evaluation_id, benchmark_id),
    CONSTRAINT evaluation_interval_check CHECK (low <= value AND value <= high),
    CONSTRAINT evaluation_training_run_id_fkey FOREIGN KEY(training_run_id) REFERENCES training_run (training_run_id),
    CONSTRAINT evaluation_benchmark_id_fkey FOREIGN KEY(benchmark_id) REFERENCES benchmark (benchmark_id)
);

-- What a run answered to one item.
CREATE TABLE prediction (
    evaluation_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    benchmark_id INTEGER NOT NULL,
    output TEXT NOT NULL,
    confidence DOUBLE PRECISION NOT NULL,
    correct BOOLEAN NOT NULL,
    CONSTRAINT prediction_pkey PRIMARY KEY (evaluation_id, position),
    CONSTRAINT prediction_evaluation_id_benchmark_id_fkey FOREIGN KEY(evaluation_id, benchmark_id) REFERENCES evaluation (evaluation_id, benchmark_id),
    CONSTRAINT prediction_benchmark_id_position_fkey FOREIGN KEY(benchmark_id, position) REFERENCES benchmark_item (benchmark_id, position)
);

-- A source row that came near a task: its part scores, the cells that won them, its rank, and its state.
CREATE TABLE retrieval_link (
    link_id BIGINT GENERATED ALWAYS AS IDENTITY,
    task_version_id INTEGER NOT NULL,
    encoder_id INTEGER NOT NULL,
    dataset_id INTEGER NOT NULL,
    row_id INTEGER NOT NULL,
    input_column_id SMALLINT NOT NULL,
    output_column_id SMALLINT NOT NULL,
    input_score REAL NOT NULL,
    output_score REAL NOT NULL,
    dataset_score REAL NOT NULL,
    score DOUBLE PRECISION NOT NULL,
    rank INTEGER NOT NULL,
    entered_by INTEGER NOT NULL,
    displaced_by INTEGER,
    state TEXT NOT NULL,
    worker_id INTEGER,
    attempt SMALLINT DEFAULT 0 NOT NULL,
    attempt_limit SMALLINT DEFAULT 5 NOT NULL,
    ready_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    error TEXT,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT retrieval_link_pkey PRIMARY KEY (link_id),
    CONSTRAINT retrieval_link_task_version_id_encoder_id_dataset_id_row_id_key UNIQUE (task_version_id, encoder_id, dataset_id, row_id),
    CONSTRAINT retrieval_link_entered_by_task_version_id_encoder_id_fkey FOREIGN KEY(entered_by, task_version_id, encoder_id) REFERENCES retrieval (retrieval_id, task_version_id, encoder_id),
    CONSTRAINT retrieval_link_displaced_by_task_version_id_encoder_id_fkey FOREIGN KEY(displaced_by, task_version_id, encoder_id) REFERENCES retrieval (retrieval_id, task_version_id, encoder_id),
    CONSTRAINT retrieval_link_dataset_id_row_id_input_column_id_fkey FOREIGN KEY(dataset_id, row_id, input_column_id) REFERENCES cell (dataset_id, row_id, column_id),
    CONSTRAINT retrieval_link_dataset_id_row_id_output_column_id_fkey FOREIGN KEY(dataset_id, row_id, output_column_id) REFERENCES cell (dataset_id, row_id, column_id),
    CONSTRAINT retrieval_link_rank_check CHECK (rank > 0),
    CONSTRAINT retrieval_link_state_check CHECK (state IN ('retrieved', 'transforming', 'transformed', 'rejected', 'failed', 'distilled')),
    CONSTRAINT retrieval_link_worker_check CHECK ((worker_id IS NOT NULL) = (state = 'transforming')),
    CONSTRAINT retrieval_link_finished_check CHECK ((finished_at IS NOT NULL) = (state IN ('transformed', 'rejected', 'failed', 'distilled'))),
    CONSTRAINT retrieval_link_failure_has_error_check CHECK ((state <> 'failed') OR (error IS NOT NULL)),
    CONSTRAINT retrieval_link_attempt_check CHECK (attempt BETWEEN 0 AND attempt_limit),
    CONSTRAINT retrieval_link_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES worker (worker_id)
);

CREATE INDEX retrieval_link_dataset_id_row_id_idx ON retrieval_link (dataset_id, row_id);

CREATE INDEX retrieval_link_retrieved_idx ON retrieval_link (task_version_id, encoder_id, rank) WHERE state = 'retrieved' AND displaced_by IS NULL;

CREATE INDEX retrieval_link_transforming_idx ON retrieval_link (worker_id) WHERE state = 'transforming';

-- A row left out of a ranking because a better ranked row has the same content.
CREATE TABLE retrieval_mirror (
    retrieval_id INTEGER NOT NULL,
    dataset_id INTEGER NOT NULL,
    row_id INTEGER NOT NULL,
    kept_link_id BIGINT NOT NULL,
    CONSTRAINT retrieval_mirror_pkey PRIMARY KEY (retrieval_id, dataset_id, row_id),
    CONSTRAINT retrieval_mirror_dataset_id_row_id_fkey FOREIGN KEY(dataset_id, row_id) REFERENCES source_row (dataset_id, row_id),
    CONSTRAINT retrieval_mirror_retrieval_id_fkey FOREIGN KEY(retrieval_id) REFERENCES retrieval (retrieval_id),
    CONSTRAINT retrieval_mirror_kept_link_id_fkey FOREIGN KEY(kept_link_id) REFERENCES retrieval_link (link_id)
);

CREATE INDEX retrieval_mirror_kept_link_id_idx ON retrieval_mirror (kept_link_id);

-- One call of a teacher for one link, kept also when it failed.
CREATE TABLE generation (
    generation_id BIGINT GENERATED ALWAYS AS IDENTITY,
    link_id BIGINT NOT NULL,
    attempt SMALLINT NOT NULL,
    teacher_id INTEGER NOT NULL,
    prompt_id INTEGER NOT NULL,
    worker_id INTEGER NOT NULL,
    prompt_hash BYTEA NOT NULL,
    raw_answer TEXT,
    finish_reason TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cost NUMERIC,
    latency_seconds REAL NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT generation_pkey PRIMARY KEY (generation_id),
    CONSTRAINT generation_link_id_attempt_key UNIQUE (link_id, attempt),
    CONSTRAINT generation_generation_id_link_id_key UNIQUE (generation_id, link_id),
    CONSTRAINT generation_outcome_check CHECK (outcome IN ('accepted', 'rejected', 'error')),
    CONSTRAINT generation_reason_check CHECK ((outcome = 'accepted') = (reason IS NULL)),
    CONSTRAINT generation_prompt_hash_length_check CHECK (octet_length(prompt_hash) = 32),
    CONSTRAINT generation_link_id_fkey FOREIGN KEY(link_id) REFERENCES retrieval_link (link_id),
    CONSTRAINT generation_teacher_id_fkey FOREIGN KEY(teacher_id) REFERENCES teacher (teacher_id),
    CONSTRAINT generation_prompt_id_fkey FOREIGN KEY(prompt_id) REFERENCES prompt (prompt_id),
    CONSTRAINT generation_worker_id_fkey FOREIGN KEY(worker_id) REFERENCES worker (worker_id)
);

CREATE INDEX generation_prompt_id_idx ON generation (prompt_id);

CREATE INDEX generation_teacher_id_idx ON generation (teacher_id);

-- A training example. `content_hash` (tag `example/v1`) is over input, output and rationale.
CREATE TABLE example (
    example_id BIGINT GENERATED ALWAYS AS IDENTITY,
    generation_id BIGINT NOT NULL,
    link_id BIGINT NOT NULL,
    input TEXT NOT NULL,
    output TEXT NOT NULL,
    rationale TEXT,
    content_hash BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT example_pkey PRIMARY KEY (example_id),
    CONSTRAINT example_generation_id_link_id_fkey FOREIGN KEY(generation_id, link_id) REFERENCES generation (generation_id, link_id),
    CONSTRAINT example_not_empty_check CHECK (input <> '' AND output <> ''),
    CONSTRAINT example_content_hash_length_check CHECK (octet_length(content_hash) = 32),
    CONSTRAINT example_generation_id_key UNIQUE (generation_id)
);

CREATE INDEX example_content_hash_idx ON example (content_hash);

CREATE INDEX example_link_id_idx ON example (link_id);

-- An example's place in a training set, from 1.
CREATE TABLE training_set_member (
    training_set_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    example_id BIGINT NOT NULL,
    CONSTRAINT training_set_member_pkey PRIMARY KEY (training_set_id, position),
    CONSTRAINT training_set_member_training_set_id_example_id_key UNIQUE (training_set_id, example_id),
    CONSTRAINT training_set_member_training_set_id_fkey FOREIGN KEY(training_set_id) REFERENCES training_set (training_set_id),
    CONSTRAINT training_set_member_example_id_fkey FOREIGN KEY(example_id) REFERENCES example (example_id)
);

CREATE INDEX training_set_member_example_id_idx ON training_set_member (example_id);

-- The dataset's description is one of its texts, and each needs the other: hence deferred, hence added last.
ALTER TABLE dataset ADD CONSTRAINT dataset_dataset_id_description_text_id_fkey FOREIGN KEY(dataset_id, description_text_id) REFERENCES text (dataset_id, text_id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE embedding ALTER COLUMN vector SET STORAGE PLAIN;

ALTER TABLE row_score ALTER COLUMN row_ids SET STORAGE EXTERNAL;
ALTER TABLE row_score ALTER COLUMN input_scores SET STORAGE EXTERNAL;
ALTER TABLE row_score ALTER COLUMN output_scores SET STORAGE EXTERNAL;
ALTER TABLE row_score ALTER COLUMN input_columns SET STORAGE EXTERNAL;
ALTER TABLE row_score ALTER COLUMN output_columns SET STORAGE EXTERNAL;

-- Provenance is append-only: the columns named may not change, and no row may go.
CREATE FUNCTION refuse_provenance_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % refused: provenance is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER dataset_no_update BEFORE UPDATE OF dataset_id, name, uri, description_text_id, description_given, created_at ON dataset FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER dataset_no_delete BEFORE DELETE ON dataset FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER dataset_no_truncate BEFORE TRUNCATE ON dataset FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER dataset_split_no_update BEFORE UPDATE OF dataset_id, split_id, config, split, uri ON dataset_split FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER dataset_split_no_delete BEFORE DELETE ON dataset_split FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER dataset_split_no_truncate BEFORE TRUNCATE ON dataset_split FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER dataset_column_no_update BEFORE UPDATE OF dataset_id, column_id, name ON dataset_column FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER dataset_column_no_delete BEFORE DELETE ON dataset_column FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER dataset_column_no_truncate BEFORE TRUNCATE ON dataset_column FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER split_column_no_update BEFORE UPDATE OF dataset_id, split_id, column_id, position, source_type, left_out ON split_column FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER split_column_no_delete BEFORE DELETE ON split_column FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER split_column_no_truncate BEFORE TRUNCATE ON split_column FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER ingest_no_update BEFORE UPDATE OF dataset_id, ingest_id, code_version, created_at ON ingest FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER ingest_no_delete BEFORE DELETE ON ingest FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER ingest_no_truncate BEFORE TRUNCATE ON ingest FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER ingest_split_no_update BEFORE UPDATE OF dataset_id, ingest_id, split_id, revision, max_rows ON ingest_split FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER ingest_split_no_delete BEFORE DELETE ON ingest_split FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER ingest_split_no_truncate BEFORE TRUNCATE ON ingest_split FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER ingest_rejection_no_update BEFORE UPDATE OF dataset_id, ingest_id, split_id, source_index, line, column_name, reason ON ingest_rejection FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER ingest_rejection_no_delete BEFORE DELETE ON ingest_rejection FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER ingest_rejection_no_truncate BEFORE TRUNCATE ON ingest_rejection FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER source_row_no_update BEFORE UPDATE OF dataset_id, row_id, ingest_id, split_id, source_index, source_key, content, content_hash ON source_row FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER source_row_no_delete BEFORE DELETE ON source_row FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER source_row_no_truncate BEFORE TRUNCATE ON source_row FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER text_no_update BEFORE UPDATE OF dataset_id, text_id, sha256, text ON text FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER text_no_delete BEFORE DELETE ON text FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER text_no_truncate BEFORE TRUNCATE ON text FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER cell_no_update BEFORE UPDATE OF dataset_id, row_id, column_id, text_id ON cell FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER cell_no_delete BEFORE DELETE ON cell FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER cell_no_truncate BEFORE TRUNCATE ON cell FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER encoder_no_update BEFORE UPDATE OF encoder_id, name, revision, weights_hash, width, max_tokens, precision, created_at ON encoder FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER encoder_no_delete BEFORE DELETE ON encoder FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER encoder_no_truncate BEFORE TRUNCATE ON encoder FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER embed_chunk_no_update BEFORE UPDATE OF embed_chunk_id, encoder_id, dataset_id, first_text_id, last_text_id ON embed_chunk FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER embed_chunk_no_delete BEFORE DELETE ON embed_chunk FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER embed_chunk_no_truncate BEFORE TRUNCATE ON embed_chunk FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER embedding_no_update BEFORE UPDATE OF dataset_id, encoder_id, text_id, width, vector ON embedding FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER embedding_no_delete BEFORE DELETE ON embedding FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER embedding_no_truncate BEFORE TRUNCATE ON embedding FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER task_no_update BEFORE UPDATE OF task_id, name, created_at ON task FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER task_no_delete BEFORE DELETE ON task FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER task_no_truncate BEFORE TRUNCATE ON task FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER task_version_no_update BEFORE UPDATE OF task_version_id, task_id, version, instruction, retrieval_instruction, examples, retrieval_examples, labels, reasoning, notes, content_hash, created_at ON task_version FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER task_version_no_delete BEFORE DELETE ON task_version FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER task_version_no_truncate BEFORE TRUNCATE ON task_version FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER task_vector_no_update BEFORE UPDATE OF task_version_id, encoder_id, input_mean, output_mean, instruction ON task_vector FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER task_vector_no_delete BEFORE DELETE ON task_vector FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER task_vector_no_truncate BEFORE TRUNCATE ON task_vector FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER retrieval_no_update BEFORE UPDATE OF retrieval_id, task_version_id, encoder_id, top_n, scoring, mirrors, created_at ON retrieval FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retrieval_no_delete BEFORE DELETE ON retrieval FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retrieval_no_truncate BEFORE TRUNCATE ON retrieval FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER retrieval_exclusion_no_update BEFORE UPDATE OF retrieval_id, dataset_id ON retrieval_exclusion FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retrieval_exclusion_no_delete BEFORE DELETE ON retrieval_exclusion FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retrieval_exclusion_no_truncate BEFORE TRUNCATE ON retrieval_exclusion FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER retrieval_link_no_update BEFORE UPDATE OF link_id, task_version_id, encoder_id, dataset_id, row_id, input_column_id, output_column_id, input_score, output_score, dataset_score, entered_by ON retrieval_link FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retrieval_link_no_delete BEFORE DELETE ON retrieval_link FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retrieval_link_no_truncate BEFORE TRUNCATE ON retrieval_link FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER retrieval_mirror_no_update BEFORE UPDATE OF retrieval_id, dataset_id, row_id, kept_link_id ON retrieval_mirror FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retrieval_mirror_no_delete BEFORE DELETE ON retrieval_mirror FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retrieval_mirror_no_truncate BEFORE TRUNCATE ON retrieval_mirror FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER teacher_no_update BEFORE UPDATE OF teacher_id, provider, model, identity, content_hash, created_at ON teacher FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER teacher_no_delete BEFORE DELETE ON teacher FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER teacher_no_truncate BEFORE TRUNCATE ON teacher FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER prompt_no_update BEFORE UPDATE OF prompt_id, name, template, content_hash, created_at ON prompt FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER prompt_no_delete BEFORE DELETE ON prompt FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER prompt_no_truncate BEFORE TRUNCATE ON prompt FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER generation_no_update BEFORE UPDATE OF generation_id, link_id, attempt, teacher_id, prompt_id, worker_id, prompt_hash, raw_answer, finish_reason, prompt_tokens, completion_tokens, cost, latency_seconds, outcome, reason, created_at ON generation FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER generation_no_delete BEFORE DELETE ON generation FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER generation_no_truncate BEFORE TRUNCATE ON generation FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER example_no_update BEFORE UPDATE OF example_id, generation_id, link_id, input, output, rationale, content_hash, created_at ON example FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER example_no_delete BEFORE DELETE ON example FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER example_no_truncate BEFORE TRUNCATE ON example FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER training_set_no_update BEFORE UPDATE OF training_set_id, task_version_id, name, size, selection, manifest_hash, created_at ON training_set FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER training_set_no_delete BEFORE DELETE ON training_set FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER training_set_no_truncate BEFORE TRUNCATE ON training_set FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER training_set_member_no_update BEFORE UPDATE OF training_set_id, position, example_id ON training_set_member FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER training_set_member_no_delete BEFORE DELETE ON training_set_member FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER training_set_member_no_truncate BEFORE TRUNCATE ON training_set_member FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER training_run_no_update BEFORE UPDATE OF training_run_id, training_set_id, student, base, base_revision, base_weights_hash, hyperparameters, seed, code_version, run_key, created_at ON training_run FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER training_run_no_delete BEFORE DELETE ON training_run FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER training_run_no_truncate BEFORE TRUNCATE ON training_run FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER metric_no_update BEFORE UPDATE OF training_run_id, attempt, name, step, value ON metric FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER metric_no_delete BEFORE DELETE ON metric FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER metric_no_truncate BEFORE TRUNCATE ON metric FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER benchmark_no_update BEFORE UPDATE OF benchmark_id, name, uri, content_hash, created_at ON benchmark FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER benchmark_no_delete BEFORE DELETE ON benchmark FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER benchmark_no_truncate BEFORE TRUNCATE ON benchmark FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER benchmark_item_no_update BEFORE UPDATE OF benchmark_id, position, item_key, input, output ON benchmark_item FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER benchmark_item_no_delete BEFORE DELETE ON benchmark_item FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER benchmark_item_no_truncate BEFORE TRUNCATE ON benchmark_item FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER evaluation_no_update BEFORE UPDATE OF evaluation_id, training_run_id, benchmark_id, metric, value, low, high, majority, items, created_at ON evaluation FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER evaluation_no_delete BEFORE DELETE ON evaluation FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER evaluation_no_truncate BEFORE TRUNCATE ON evaluation FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER prediction_no_update BEFORE UPDATE OF evaluation_id, position, benchmark_id, output, confidence, correct ON prediction FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER prediction_no_delete BEFORE DELETE ON prediction FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER prediction_no_truncate BEFORE TRUNCATE ON prediction FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

CREATE TRIGGER event_no_update BEFORE UPDATE OF event_id, queue, item_id, attempt, from_state, to_state, event, worker_id, detail, at ON event FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER event_no_delete BEFORE DELETE ON event FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER event_no_truncate BEFORE TRUNCATE ON event FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();
