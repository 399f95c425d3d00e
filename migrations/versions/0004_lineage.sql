-- Retraction, published data under audit, and a seal in every record. See 0004_lineage.py.

-- What was withdrawn, and published data under audit.
CREATE TABLE retraction (
    retraction_id INTEGER GENERATED ALWAYS AS IDENTITY, 
    kind TEXT NOT NULL, 
    target TEXT NOT NULL, 
    reason TEXT NOT NULL, 
    mirrors BOOLEAN DEFAULT false NOT NULL, 
    asked_by TEXT NOT NULL, 
    code_version TEXT NOT NULL, 
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL, 
    undone_at TIMESTAMP WITH TIME ZONE, 
    undo_reason TEXT, 
    erased_at TIMESTAMP WITH TIME ZONE, 
    seal BYTEA NOT NULL, 
    CONSTRAINT retraction_pkey PRIMARY KEY (retraction_id), 
    CONSTRAINT retraction_kind_check CHECK (kind IN ('dataset', 'row', 'licence', 'text')), 
    CONSTRAINT retraction_reason_check CHECK (reason <> ''), 
    CONSTRAINT retraction_undone_check CHECK ((undone_at IS NULL) = (undo_reason IS NULL)), 
    CONSTRAINT retraction_erased_is_final_check CHECK (undone_at IS NULL OR erased_at IS NULL)
);
CREATE TABLE retracted_dataset (
    retraction_id INTEGER NOT NULL, 
    dataset_id INTEGER NOT NULL, 
    seal BYTEA NOT NULL, 
    CONSTRAINT retracted_dataset_pkey PRIMARY KEY (retraction_id, dataset_id), 
    CONSTRAINT retracted_dataset_retraction_id_fkey FOREIGN KEY(retraction_id) REFERENCES retraction (retraction_id), 
    CONSTRAINT retracted_dataset_dataset_id_fkey FOREIGN KEY(dataset_id) REFERENCES dataset (dataset_id)
);
CREATE INDEX retracted_dataset_dataset_id_idx ON retracted_dataset (dataset_id);
CREATE TABLE retracted_row (
    retraction_id INTEGER NOT NULL, 
    dataset_id INTEGER NOT NULL, 
    row_id INTEGER NOT NULL, 
    seal BYTEA NOT NULL, 
    CONSTRAINT retracted_row_pkey PRIMARY KEY (retraction_id, dataset_id, row_id), 
    CONSTRAINT retracted_row_dataset_id_row_id_fkey FOREIGN KEY(dataset_id, row_id) REFERENCES source_row (dataset_id, row_id), 
    CONSTRAINT retracted_row_retraction_id_fkey FOREIGN KEY(retraction_id) REFERENCES retraction (retraction_id)
);
CREATE INDEX retracted_row_dataset_id_row_id_idx ON retracted_row (dataset_id, row_id);
CREATE TABLE example_parent (
    example_id BIGINT NOT NULL, 
    parent_id BIGINT NOT NULL, 
    seal BYTEA NOT NULL, 
    CONSTRAINT example_parent_pkey PRIMARY KEY (example_id, parent_id), 
    CONSTRAINT example_parent_older_check CHECK (parent_id < example_id), 
    CONSTRAINT example_parent_example_id_fkey FOREIGN KEY(example_id) REFERENCES example (example_id), 
    CONSTRAINT example_parent_parent_id_fkey FOREIGN KEY(parent_id) REFERENCES example (example_id)
);
CREATE INDEX example_parent_parent_id_idx ON example_parent (parent_id);
CREATE TABLE publication (
    publication_id INTEGER GENERATED ALWAYS AS IDENTITY, 
    task_id INTEGER NOT NULL, 
    name TEXT NOT NULL, 
    form TEXT NOT NULL, 
    uri TEXT NOT NULL, 
    files JSONB NOT NULL, 
    code_version TEXT NOT NULL, 
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL, 
    seal BYTEA NOT NULL, 
    CONSTRAINT publication_pkey PRIMARY KEY (publication_id), 
    CONSTRAINT publication_form_check CHECK (form IN ('rebase', 'examples')), 
    CONSTRAINT publication_task_id_fkey FOREIGN KEY(task_id) REFERENCES task (task_id), 
    CONSTRAINT publication_name_key UNIQUE (name)
);
CREATE INDEX publication_task_id_idx ON publication (task_id);
CREATE TABLE published_rank (
    publication_id INTEGER NOT NULL, 
    rank INTEGER NOT NULL, 
    score DOUBLE PRECISION, 
    row_reference JSONB NOT NULL, 
    dataset_id INTEGER, 
    row_id INTEGER, 
    seal BYTEA NOT NULL, 
    CONSTRAINT published_rank_pkey PRIMARY KEY (publication_id, rank), 
    CONSTRAINT published_rank_dataset_id_row_id_fkey FOREIGN KEY(dataset_id, row_id) REFERENCES source_row (dataset_id, row_id), 
    CONSTRAINT published_rank_row_check CHECK ((dataset_id IS NULL) = (row_id IS NULL)), 
    CONSTRAINT published_rank_rank_check CHECK (rank > 0), 
    CONSTRAINT published_rank_publication_id_fkey FOREIGN KEY(publication_id) REFERENCES publication (publication_id)
);
CREATE INDEX published_rank_dataset_id_row_id_idx ON published_rank (dataset_id, row_id);
CREATE TABLE published_example (
    published_example_id BIGINT GENERATED ALWAYS AS IDENTITY, 
    publication_id INTEGER NOT NULL, 
    position INTEGER NOT NULL, 
    input TEXT NOT NULL, 
    output TEXT NOT NULL, 
    row_reference JSONB, 
    content_hash BYTEA NOT NULL, 
    seal BYTEA NOT NULL, 
    CONSTRAINT published_example_pkey PRIMARY KEY (published_example_id), 
    CONSTRAINT published_example_publication_id_position_key UNIQUE (publication_id, position), 
    CONSTRAINT published_example_content_hash_length_check CHECK (octet_length(content_hash) = 32), 
    CONSTRAINT published_example_publication_id_fkey FOREIGN KEY(publication_id) REFERENCES publication (publication_id)
);
CREATE INDEX published_example_content_hash_idx ON published_example (content_hash);
CREATE TABLE likely_source (
    published_example_id BIGINT NOT NULL, 
    dataset_id INTEGER NOT NULL, 
    row_id INTEGER NOT NULL, 
    method TEXT NOT NULL, 
    confidence REAL NOT NULL, 
    evidence JSONB NOT NULL, 
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL, 
    erased_by INTEGER, 
    seal BYTEA NOT NULL, 
    CONSTRAINT likely_source_pkey PRIMARY KEY (published_example_id, dataset_id, row_id, method), 
    CONSTRAINT likely_source_dataset_id_row_id_fkey FOREIGN KEY(dataset_id, row_id) REFERENCES source_row (dataset_id, row_id), 
    CONSTRAINT likely_source_confidence_check CHECK (confidence > 0 AND confidence <= 1), 
    CONSTRAINT likely_source_guess_check CHECK (confidence < 1 OR method = 'stated'), 
    CONSTRAINT likely_source_erased_check CHECK (erased_by IS NULL OR evidence = '{}'), 
    CONSTRAINT likely_source_published_example_id_fkey FOREIGN KEY(published_example_id) REFERENCES published_example (published_example_id), 
    CONSTRAINT likely_source_erased_by_fkey FOREIGN KEY(erased_by) REFERENCES retraction (retraction_id)
);
CREATE INDEX likely_source_dataset_id_row_id_idx ON likely_source (dataset_id, row_id);

-- Columns of the tables that were there.
ALTER TABLE source_row ADD COLUMN erased_by INTEGER;
ALTER TABLE source_row ADD CONSTRAINT source_row_erased_by_fkey FOREIGN KEY (erased_by) REFERENCES retraction (retraction_id);
ALTER TABLE text ADD COLUMN erased_by INTEGER;
ALTER TABLE text ADD CONSTRAINT text_erased_by_fkey FOREIGN KEY (erased_by) REFERENCES retraction (retraction_id);
ALTER TABLE generation ADD COLUMN erased_by INTEGER;
ALTER TABLE generation ADD CONSTRAINT generation_erased_by_fkey FOREIGN KEY (erased_by) REFERENCES retraction (retraction_id);
ALTER TABLE example ADD COLUMN erased_by INTEGER;
ALTER TABLE example ADD CONSTRAINT example_erased_by_fkey FOREIGN KEY (erased_by) REFERENCES retraction (retraction_id);
ALTER TABLE judgement ADD COLUMN erased_by INTEGER;
ALTER TABLE judgement ADD CONSTRAINT judgement_erased_by_fkey FOREIGN KEY (erased_by) REFERENCES retraction (retraction_id);
ALTER TABLE check_result ADD COLUMN erased_by INTEGER;
ALTER TABLE check_result ADD CONSTRAINT check_result_erased_by_fkey FOREIGN KEY (erased_by) REFERENCES retraction (retraction_id);
ALTER TABLE event ADD COLUMN erased_by INTEGER;
ALTER TABLE event ADD CONSTRAINT event_erased_by_fkey FOREIGN KEY (erased_by) REFERENCES retraction (retraction_id);
ALTER TABLE ingest ADD COLUMN finished_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE ingest_split ADD COLUMN finished_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE training_set ADD COLUMN successor_of INTEGER;
ALTER TABLE training_set ADD CONSTRAINT training_set_successor_of_fkey FOREIGN KEY (successor_of) REFERENCES training_set (training_set_id);
ALTER TABLE retrieval ADD COLUMN retractions_seen INTEGER;
ALTER TABLE retrieval_link ADD COLUMN retracted_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE text ALTER COLUMN text DROP NOT NULL;
ALTER TABLE text ADD CONSTRAINT text_erased_check CHECK ((text IS NULL) = (erased_by IS NOT NULL));
ALTER TABLE generation ADD CONSTRAINT generation_erased_check CHECK (erased_by IS NULL OR (raw_answer IS NULL AND failures = '{}'));
ALTER TABLE judgement ADD CONSTRAINT judgement_erased_check CHECK (erased_by IS NULL OR (raw_answer IS NULL AND failures = '{}'));
ALTER TABLE check_result ADD CONSTRAINT check_result_erased_check CHECK (erased_by IS NULL OR evidence = '{}');
ALTER TABLE event ADD CONSTRAINT event_erased_check CHECK (erased_by IS NULL OR detail IS NULL);
ALTER TABLE training_set ADD CONSTRAINT training_set_successor_check CHECK (successor_of < training_set_id);
ALTER TABLE example DROP CONSTRAINT example_not_empty_check;
ALTER TABLE example ADD CONSTRAINT example_not_empty_check CHECK (CASE WHEN erased_by IS NULL THEN input <> '' AND output <> '' ELSE input = '' AND output = '' AND rationale IS NULL END);

-- The same training on another set of the same content is another run.
ALTER TABLE training_run DROP CONSTRAINT training_run_run_key_key;
ALTER TABLE training_run ADD CONSTRAINT training_run_training_set_id_run_key_key UNIQUE (training_set_id, run_key);
DROP INDEX training_run_training_set_id_idx;

-- Retracted rows are neither claimed nor counted.
DROP INDEX retrieval_link_retrieved_idx;
CREATE INDEX retrieval_link_retrieved_idx ON retrieval_link (task_version_id, encoder_id, ready_at, rank) WHERE state = 'retrieved' AND displaced_by IS NULL AND retracted_at IS NULL;
DROP INDEX retrieval_link_finished_idx;
CREATE INDEX retrieval_link_finished_idx ON retrieval_link (task_version_id, encoder_id, state) WHERE finished_at IS NOT NULL AND displaced_by IS NULL AND retracted_at IS NULL;

-- Loads that are on record are over.
UPDATE ingest SET finished_at = created_at;
UPDATE ingest_split SET finished_at = created_at FROM ingest WHERE ingest.dataset_id = ingest_split.dataset_id AND ingest.ingest_id = ingest_split.ingest_id;

-- Every record gets its seal.
ALTER TABLE dataset ADD COLUMN seal bytea;
UPDATE dataset SET seal = sha256(record_send(ROW(dataset_id, name, uri, licence, description_text_id, description_given, created_at)));
ALTER TABLE dataset_split ADD COLUMN seal bytea;
UPDATE dataset_split SET seal = sha256(record_send(ROW(dataset_id, split_id, config, split, uri)));
ALTER TABLE dataset_column ADD COLUMN seal bytea;
UPDATE dataset_column SET seal = sha256(record_send(ROW(dataset_id, column_id, name)));
ALTER TABLE split_column ADD COLUMN seal bytea;
UPDATE split_column SET seal = sha256(record_send(ROW(dataset_id, split_id, column_id, position, source_type, left_out)));
ALTER TABLE ingest ADD COLUMN seal bytea;
UPDATE ingest SET seal = sha256(record_send(ROW(dataset_id, ingest_id, texts_added, cells_added, code_version, created_at, finished_at)));
ALTER TABLE ingest_split ADD COLUMN seal bytea;
UPDATE ingest_split SET seal = sha256(record_send(ROW(dataset_id, ingest_id, split_id, revision, max_rows, rows_in_source, rows_added, rows_unchanged, rows_rejected, finished_at)));
ALTER TABLE ingest_rejection ADD COLUMN seal bytea;
UPDATE ingest_rejection SET seal = sha256(record_send(ROW(dataset_id, ingest_id, split_id, source_index, line, column_name, reason)));
ALTER TABLE source_row ADD COLUMN seal bytea;
UPDATE source_row SET seal = sha256(record_send(ROW(dataset_id, row_id, ingest_id, split_id, source_index, source_key, content, content_hash, erased_by)));
ALTER TABLE encoder ADD COLUMN seal bytea;
UPDATE encoder SET seal = sha256(record_send(ROW(encoder_id, name, revision, weights_hash, width, max_tokens, precision, created_at)));
ALTER TABLE embed_chunk ADD COLUMN seal bytea;
UPDATE embed_chunk SET seal = sha256(record_send(ROW(embed_chunk_id, encoder_id, dataset_id, first_text_id, last_text_id)));
ALTER TABLE embedding ADD COLUMN seal bytea;
UPDATE embedding SET seal = sha256(record_send(ROW(dataset_id, encoder_id, text_id, width, halfvec_send(vector))));
ALTER TABLE task ADD COLUMN seal bytea;
UPDATE task SET seal = sha256(record_send(ROW(task_id, name, created_at)));
ALTER TABLE task_version ADD COLUMN seal bytea;
UPDATE task_version SET seal = sha256(record_send(ROW(task_version_id, task_id, version, instruction, retrieval_instruction, examples, retrieval_examples, labels, reasoning, notes, content_hash, created_at)));
ALTER TABLE task_vector ADD COLUMN seal bytea;
UPDATE task_vector SET seal = sha256(record_send(ROW(task_version_id, encoder_id, input_mean, output_mean, instruction)));
ALTER TABLE retrieval ADD COLUMN seal bytea;
UPDATE retrieval SET seal = sha256(record_send(ROW(retrieval_id, task_version_id, encoder_id, top_n, scoring, mirrors, created_at, rows_scored, rows_entered, rows_kept, rows_displaced, mirrors_left_out, cutoff_score, retractions_seen)));
ALTER TABLE retrieval_exclusion ADD COLUMN seal bytea;
UPDATE retrieval_exclusion SET seal = sha256(record_send(ROW(retrieval_id, dataset_id)));
ALTER TABLE retrieval_link ADD COLUMN seal bytea;
UPDATE retrieval_link SET seal = sha256(record_send(ROW(link_id, task_version_id, encoder_id, dataset_id, row_id, input_column_id, output_column_id, input_score, output_score, dataset_score, entered_by)));
ALTER TABLE retrieval_mirror ADD COLUMN seal bytea;
UPDATE retrieval_mirror SET seal = sha256(record_send(ROW(retrieval_id, dataset_id, row_id, kept_link_id)));
ALTER TABLE teacher ADD COLUMN seal bytea;
UPDATE teacher SET seal = sha256(record_send(ROW(teacher_id, provider, model, identity, content_hash, created_at)));
ALTER TABLE prompt ADD COLUMN seal bytea;
UPDATE prompt SET seal = sha256(record_send(ROW(prompt_id, name, template, content_hash, created_at)));
ALTER TABLE generation ADD COLUMN seal bytea;
UPDATE generation SET seal = sha256(record_send(ROW(generation_id, link_id, attempt, reading, cuts, reused_from, erased_by, teacher_id, prompt_id, worker_id, prompt_hash, raw_answer, finish_reason, response_form, prompt_tokens, completion_tokens, cost, latency_seconds, requests, failures, maybe_billed, outcome, reason, created_at)));
ALTER TABLE example ADD COLUMN seal bytea;
UPDATE example SET seal = sha256(record_send(ROW(example_id, generation_id, link_id, input, output, rationale, content_hash, created_at, erased_by)));
ALTER TABLE check_definition ADD COLUMN seal bytea;
UPDATE check_definition SET seal = sha256(record_send(ROW(check_id, name, parameters, content_hash, created_at)));
ALTER TABLE judgement ADD COLUMN seal bytea;
UPDATE judgement SET seal = sha256(record_send(ROW(judgement_id, example_id, points, erased_by, teacher_id, prompt_id, worker_id, prompt_hash, raw_answer, finish_reason, response_form, prompt_tokens, completion_tokens, cost, latency_seconds, requests, failures, maybe_billed, outcome, reason, created_at)));
ALTER TABLE check_result ADD COLUMN seal bytea;
UPDATE check_result SET seal = sha256(record_send(ROW(check_result_id, example_id, check_id, verdict, score, evidence, other_example_id, judgement_id, created_at, erased_by)));
ALTER TABLE budget ADD COLUMN seal bytea;
UPDATE budget SET seal = sha256(record_send(ROW(task_id, created_at)));
ALTER TABLE reservation ADD COLUMN seal bytea;
UPDATE reservation SET seal = sha256(record_send(ROW(reservation_id, task_id, worker_id, link_id, attempt, cost, tokens, settled_at, spent_cost, spent_tokens, presumed, created_at)));
ALTER TABLE training_set ADD COLUMN seal bytea;
UPDATE training_set SET seal = sha256(record_send(ROW(training_set_id, task_version_id, name, size, selection, manifest_hash, successor_of, created_at)));
ALTER TABLE training_set_member ADD COLUMN seal bytea;
UPDATE training_set_member SET seal = sha256(record_send(ROW(training_set_id, position, example_id)));
ALTER TABLE training_run ADD COLUMN seal bytea;
UPDATE training_run SET seal = sha256(record_send(ROW(training_run_id, training_set_id, student, base, base_revision, base_weights_hash, hyperparameters, seed, code_version, run_key, created_at, environment, artifact_path, artifact_hash)));
ALTER TABLE metric ADD COLUMN seal bytea;
UPDATE metric SET seal = sha256(record_send(ROW(training_run_id, attempt, name, step, value)));
ALTER TABLE benchmark ADD COLUMN seal bytea;
UPDATE benchmark SET seal = sha256(record_send(ROW(benchmark_id, name, uri, content_hash, created_at)));
ALTER TABLE benchmark_item ADD COLUMN seal bytea;
UPDATE benchmark_item SET seal = sha256(record_send(ROW(benchmark_id, position, item_key, input, output)));
ALTER TABLE evaluation ADD COLUMN seal bytea;
UPDATE evaluation SET seal = sha256(record_send(ROW(evaluation_id, training_run_id, benchmark_id, metric, value, low, high, majority, items, created_at)));
ALTER TABLE prediction ADD COLUMN seal bytea;
UPDATE prediction SET seal = sha256(record_send(ROW(evaluation_id, position, benchmark_id, output, confidence, correct)));
ALTER TABLE event ADD COLUMN seal bytea;
UPDATE event SET seal = sha256(record_send(ROW(event_id, queue, item_id, attempt, from_state, to_state, event, worker_id, detail, at, erased_by)));
ALTER TABLE worker ADD COLUMN seal bytea;
UPDATE worker SET seal = sha256(record_send(ROW(worker_id, host, pid, code_version, stages, concurrency, started_at)));
ALTER TABLE row_score ADD COLUMN seal bytea;
UPDATE row_score SET seal = sha256(record_send(ROW(task_version_id, encoder_id, dataset_id, retrieval_id, dataset_score, row_ids, input_scores, output_scores, input_columns, output_columns)));
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE dataset ALTER COLUMN seal SET NOT NULL;
ALTER TABLE dataset_split ALTER COLUMN seal SET NOT NULL;
ALTER TABLE dataset_column ALTER COLUMN seal SET NOT NULL;
ALTER TABLE split_column ALTER COLUMN seal SET NOT NULL;
ALTER TABLE ingest ALTER COLUMN seal SET NOT NULL;
ALTER TABLE ingest_split ALTER COLUMN seal SET NOT NULL;
ALTER TABLE ingest_rejection ALTER COLUMN seal SET NOT NULL;
ALTER TABLE source_row ALTER COLUMN seal SET NOT NULL;
ALTER TABLE encoder ALTER COLUMN seal SET NOT NULL;
ALTER TABLE embed_chunk ALTER COLUMN seal SET NOT NULL;
ALTER TABLE embedding ALTER COLUMN seal SET NOT NULL;
ALTER TABLE task ALTER COLUMN seal SET NOT NULL;
ALTER TABLE task_version ALTER COLUMN seal SET NOT NULL;
ALTER TABLE task_vector ALTER COLUMN seal SET NOT NULL;
ALTER TABLE retrieval ALTER COLUMN seal SET NOT NULL;
ALTER TABLE retrieval_exclusion ALTER COLUMN seal SET NOT NULL;
ALTER TABLE retrieval_link ALTER COLUMN seal SET NOT NULL;
ALTER TABLE retrieval_mirror ALTER COLUMN seal SET NOT NULL;
ALTER TABLE teacher ALTER COLUMN seal SET NOT NULL;
ALTER TABLE prompt ALTER COLUMN seal SET NOT NULL;
ALTER TABLE generation ALTER COLUMN seal SET NOT NULL;
ALTER TABLE example ALTER COLUMN seal SET NOT NULL;
ALTER TABLE check_definition ALTER COLUMN seal SET NOT NULL;
ALTER TABLE judgement ALTER COLUMN seal SET NOT NULL;
ALTER TABLE check_result ALTER COLUMN seal SET NOT NULL;
ALTER TABLE budget ALTER COLUMN seal SET NOT NULL;
ALTER TABLE reservation ALTER COLUMN seal SET NOT NULL;
ALTER TABLE training_set ALTER COLUMN seal SET NOT NULL;
ALTER TABLE training_set_member ALTER COLUMN seal SET NOT NULL;
ALTER TABLE training_run ALTER COLUMN seal SET NOT NULL;
ALTER TABLE metric ALTER COLUMN seal SET NOT NULL;
ALTER TABLE benchmark ALTER COLUMN seal SET NOT NULL;
ALTER TABLE benchmark_item ALTER COLUMN seal SET NOT NULL;
ALTER TABLE evaluation ALTER COLUMN seal SET NOT NULL;
ALTER TABLE prediction ALTER COLUMN seal SET NOT NULL;
ALTER TABLE event ALTER COLUMN seal SET NOT NULL;
ALTER TABLE worker ALTER COLUMN seal SET NOT NULL;
ALTER TABLE row_score ALTER COLUMN seal SET NOT NULL;

-- Triggers: what may be written once, what may be erased, and the seals.
CREATE FUNCTION refuse_unless_text_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM text WHERE dataset_id = OLD.dataset_id AND text_id = OLD.text_id AND erased_by IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'DELETE of embedding refused: its text is not erased'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
END $$;
DROP TRIGGER dataset_no_update ON dataset;
CREATE TRIGGER dataset_no_update BEFORE UPDATE OF dataset_id, name, uri, description_text_id, description_given, created_at, seal ON dataset FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER dataset_once BEFORE UPDATE OF licence ON dataset FOR EACH ROW WHEN (OLD.licence IS NOT NULL AND NEW.licence IS DISTINCT FROM OLD.licence) EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER dataset_split_no_update ON dataset_split;
CREATE TRIGGER dataset_split_no_update BEFORE UPDATE OF dataset_id, split_id, config, split, uri, seal ON dataset_split FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER dataset_column_no_update ON dataset_column;
CREATE TRIGGER dataset_column_no_update BEFORE UPDATE OF dataset_id, column_id, name, seal ON dataset_column FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER split_column_no_update ON split_column;
CREATE TRIGGER split_column_no_update BEFORE UPDATE OF dataset_id, split_id, column_id, position, source_type, left_out, seal ON split_column FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER ingest_no_update ON ingest;
CREATE TRIGGER ingest_no_update BEFORE UPDATE OF dataset_id, ingest_id, code_version, created_at, seal ON ingest FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER ingest_once BEFORE UPDATE OF texts_added, cells_added, finished_at ON ingest FOR EACH ROW WHEN (OLD.finished_at IS NOT NULL) EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER ingest_split_no_update ON ingest_split;
CREATE TRIGGER ingest_split_no_update BEFORE UPDATE OF dataset_id, ingest_id, split_id, revision, max_rows, seal ON ingest_split FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER ingest_split_once BEFORE UPDATE OF rows_in_source, rows_added, rows_unchanged, rows_rejected, finished_at ON ingest_split FOR EACH ROW WHEN (OLD.finished_at IS NOT NULL) EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER ingest_rejection_no_update ON ingest_rejection;
CREATE TRIGGER ingest_rejection_no_update BEFORE UPDATE OF dataset_id, ingest_id, split_id, source_index, line, column_name, reason, seal ON ingest_rejection FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER source_row_no_update ON source_row;
CREATE TRIGGER source_row_no_update BEFORE UPDATE OF dataset_id, row_id, ingest_id, split_id, source_index, source_key, content_hash, seal ON source_row FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER source_row_erase BEFORE UPDATE OF content, erased_by ON source_row FOR EACH ROW WHEN (OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL) EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER text_no_update ON text;
CREATE TRIGGER text_no_update BEFORE UPDATE OF dataset_id, text_id, sha256 ON text FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER text_erase BEFORE UPDATE OF text, erased_by ON text FOR EACH ROW WHEN (OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL) EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER encoder_no_update ON encoder;
CREATE TRIGGER encoder_no_update BEFORE UPDATE OF encoder_id, name, revision, weights_hash, width, max_tokens, precision, created_at, seal ON encoder FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER embed_chunk_no_update ON embed_chunk;
CREATE TRIGGER embed_chunk_no_update BEFORE UPDATE OF embed_chunk_id, encoder_id, dataset_id, first_text_id, last_text_id, seal ON embed_chunk FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER embedding_no_update ON embedding;
DROP TRIGGER embedding_no_delete ON embedding;
CREATE TRIGGER embedding_no_update BEFORE UPDATE OF dataset_id, encoder_id, text_id, width, vector, seal ON embedding FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER embedding_no_delete BEFORE DELETE ON embedding FOR EACH ROW EXECUTE FUNCTION refuse_unless_text_erased();
DROP TRIGGER task_no_update ON task;
CREATE TRIGGER task_no_update BEFORE UPDATE OF task_id, name, created_at, seal ON task FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER task_version_no_update ON task_version;
CREATE TRIGGER task_version_no_update BEFORE UPDATE OF task_version_id, task_id, version, instruction, retrieval_instruction, examples, retrieval_examples, labels, reasoning, notes, content_hash, created_at, seal ON task_version FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER task_vector_no_update ON task_vector;
CREATE TRIGGER task_vector_no_update BEFORE UPDATE OF task_version_id, encoder_id, input_mean, output_mean, instruction, seal ON task_vector FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER retrieval_no_update ON retrieval;
CREATE TRIGGER retrieval_no_update BEFORE UPDATE OF retrieval_id, task_version_id, encoder_id, top_n, scoring, mirrors, created_at, seal ON retrieval FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retrieval_once BEFORE UPDATE OF rows_scored, rows_entered, rows_kept, rows_displaced, mirrors_left_out, cutoff_score, retractions_seen ON retrieval FOR EACH ROW WHEN (OLD.rows_scored IS NOT NULL AND NEW.rows_scored IS DISTINCT FROM OLD.rows_scored OR OLD.rows_entered IS NOT NULL AND NEW.rows_entered IS DISTINCT FROM OLD.rows_entered OR OLD.rows_kept IS NOT NULL AND NEW.rows_kept IS DISTINCT FROM OLD.rows_kept OR OLD.rows_displaced IS NOT NULL AND NEW.rows_displaced IS DISTINCT FROM OLD.rows_displaced OR OLD.mirrors_left_out IS NOT NULL AND NEW.mirrors_left_out IS DISTINCT FROM OLD.mirrors_left_out OR OLD.cutoff_score IS NOT NULL AND NEW.cutoff_score IS DISTINCT FROM OLD.cutoff_score OR OLD.retractions_seen IS NOT NULL AND NEW.retractions_seen IS DISTINCT FROM OLD.retractions_seen) EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER retrieval_exclusion_no_update ON retrieval_exclusion;
CREATE TRIGGER retrieval_exclusion_no_update BEFORE UPDATE OF retrieval_id, dataset_id, seal ON retrieval_exclusion FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER retrieval_link_no_update ON retrieval_link;
CREATE TRIGGER retrieval_link_no_update BEFORE UPDATE OF link_id, task_version_id, encoder_id, dataset_id, row_id, input_column_id, output_column_id, input_score, output_score, dataset_score, entered_by, seal ON retrieval_link FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER retrieval_mirror_no_update ON retrieval_mirror;
CREATE TRIGGER retrieval_mirror_no_update BEFORE UPDATE OF retrieval_id, dataset_id, row_id, kept_link_id, seal ON retrieval_mirror FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER teacher_no_update ON teacher;
CREATE TRIGGER teacher_no_update BEFORE UPDATE OF teacher_id, provider, model, identity, content_hash, created_at, seal ON teacher FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER prompt_no_update ON prompt;
CREATE TRIGGER prompt_no_update BEFORE UPDATE OF prompt_id, name, template, content_hash, created_at, seal ON prompt FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER generation_no_update ON generation;
CREATE TRIGGER generation_no_update BEFORE UPDATE OF generation_id, link_id, attempt, reading, cuts, reused_from, teacher_id, prompt_id, worker_id, prompt_hash, finish_reason, response_form, prompt_tokens, completion_tokens, cost, latency_seconds, requests, maybe_billed, outcome, created_at, seal ON generation FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER generation_erase BEFORE UPDATE OF raw_answer, reason, failures, erased_by ON generation FOR EACH ROW WHEN (OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL) EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER example_no_update ON example;
CREATE TRIGGER example_no_update BEFORE UPDATE OF example_id, generation_id, link_id, content_hash, created_at, seal ON example FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER example_erase BEFORE UPDATE OF input, output, rationale, erased_by ON example FOR EACH ROW WHEN (OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL) EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER example_parent_no_update BEFORE UPDATE OF example_id, parent_id, seal ON example_parent FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER example_parent_no_delete BEFORE DELETE ON example_parent FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER example_parent_no_truncate BEFORE TRUNCATE ON example_parent FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER check_definition_no_update ON check_definition;
CREATE TRIGGER check_definition_no_update BEFORE UPDATE OF check_id, name, parameters, content_hash, created_at, seal ON check_definition FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER judgement_no_update ON judgement;
CREATE TRIGGER judgement_no_update BEFORE UPDATE OF judgement_id, example_id, points, teacher_id, prompt_id, worker_id, prompt_hash, finish_reason, response_form, prompt_tokens, completion_tokens, cost, latency_seconds, requests, maybe_billed, outcome, created_at, seal ON judgement FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER judgement_erase BEFORE UPDATE OF raw_answer, reason, failures, erased_by ON judgement FOR EACH ROW WHEN (OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL) EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER check_result_no_update ON check_result;
CREATE TRIGGER check_result_no_update BEFORE UPDATE OF check_result_id, example_id, check_id, verdict, score, other_example_id, judgement_id, created_at, seal ON check_result FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER check_result_erase BEFORE UPDATE OF evidence, erased_by ON check_result FOR EACH ROW WHEN (OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL) EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER budget_no_update ON budget;
CREATE TRIGGER budget_no_update BEFORE UPDATE OF task_id, created_at, seal ON budget FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER reservation_no_update ON reservation;
CREATE TRIGGER reservation_no_update BEFORE UPDATE OF reservation_id, task_id, worker_id, link_id, attempt, cost, tokens, created_at, seal ON reservation FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER reservation_once BEFORE UPDATE OF settled_at, spent_cost, spent_tokens, presumed ON reservation FOR EACH ROW WHEN (OLD.settled_at IS NOT NULL) EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER training_set_no_update ON training_set;
CREATE TRIGGER training_set_no_update BEFORE UPDATE OF training_set_id, task_version_id, name, size, selection, manifest_hash, successor_of, created_at, seal ON training_set FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER training_set_member_no_update ON training_set_member;
CREATE TRIGGER training_set_member_no_update BEFORE UPDATE OF training_set_id, position, example_id, seal ON training_set_member FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER training_run_no_update ON training_run;
CREATE TRIGGER training_run_no_update BEFORE UPDATE OF training_run_id, training_set_id, student, base, base_revision, base_weights_hash, hyperparameters, seed, code_version, run_key, created_at, seal ON training_run FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER training_run_once BEFORE UPDATE OF environment, artifact_path, artifact_hash ON training_run FOR EACH ROW WHEN (OLD.environment IS NOT NULL AND NEW.environment IS DISTINCT FROM OLD.environment OR OLD.artifact_path IS NOT NULL AND NEW.artifact_path IS DISTINCT FROM OLD.artifact_path OR OLD.artifact_hash IS NOT NULL AND NEW.artifact_hash IS DISTINCT FROM OLD.artifact_hash) EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER metric_no_update ON metric;
CREATE TRIGGER metric_no_update BEFORE UPDATE OF training_run_id, attempt, name, step, value, seal ON metric FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER benchmark_no_update ON benchmark;
CREATE TRIGGER benchmark_no_update BEFORE UPDATE OF benchmark_id, name, uri, content_hash, created_at, seal ON benchmark FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER benchmark_item_no_update ON benchmark_item;
CREATE TRIGGER benchmark_item_no_update BEFORE UPDATE OF benchmark_id, position, item_key, input, output, seal ON benchmark_item FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER evaluation_no_update ON evaluation;
CREATE TRIGGER evaluation_no_update BEFORE UPDATE OF evaluation_id, training_run_id, benchmark_id, metric, value, low, high, majority, items, created_at, seal ON evaluation FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER prediction_no_update ON prediction;
CREATE TRIGGER prediction_no_update BEFORE UPDATE OF evaluation_id, position, benchmark_id, output, confidence, correct, seal ON prediction FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retraction_no_update BEFORE UPDATE OF retraction_id, kind, target, reason, mirrors, asked_by, code_version, created_at, seal ON retraction FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retraction_no_delete BEFORE DELETE ON retraction FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retraction_no_truncate BEFORE TRUNCATE ON retraction FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retraction_once BEFORE UPDATE OF undone_at, undo_reason, erased_at ON retraction FOR EACH ROW WHEN (OLD.undone_at IS NOT NULL AND NEW.undone_at IS DISTINCT FROM OLD.undone_at OR OLD.undo_reason IS NOT NULL AND NEW.undo_reason IS DISTINCT FROM OLD.undo_reason OR OLD.erased_at IS NOT NULL AND NEW.erased_at IS DISTINCT FROM OLD.erased_at) EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retracted_dataset_no_update BEFORE UPDATE OF retraction_id, dataset_id, seal ON retracted_dataset FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retracted_dataset_no_delete BEFORE DELETE ON retracted_dataset FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retracted_dataset_no_truncate BEFORE TRUNCATE ON retracted_dataset FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retracted_row_no_update BEFORE UPDATE OF retraction_id, dataset_id, row_id, seal ON retracted_row FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retracted_row_no_delete BEFORE DELETE ON retracted_row FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retracted_row_no_truncate BEFORE TRUNCATE ON retracted_row FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER publication_no_update BEFORE UPDATE OF publication_id, task_id, name, form, uri, files, code_version, created_at, seal ON publication FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER publication_no_delete BEFORE DELETE ON publication FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER publication_no_truncate BEFORE TRUNCATE ON publication FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER published_rank_no_update BEFORE UPDATE OF publication_id, rank, score, row_reference, dataset_id, row_id, seal ON published_rank FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER published_rank_no_delete BEFORE DELETE ON published_rank FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER published_rank_no_truncate BEFORE TRUNCATE ON published_rank FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER published_example_no_update BEFORE UPDATE OF published_example_id, publication_id, position, input, output, row_reference, content_hash, seal ON published_example FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER published_example_no_delete BEFORE DELETE ON published_example FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER published_example_no_truncate BEFORE TRUNCATE ON published_example FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER likely_source_no_update BEFORE UPDATE OF published_example_id, dataset_id, row_id, method, confidence, created_at, seal ON likely_source FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER likely_source_no_delete BEFORE DELETE ON likely_source FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER likely_source_no_truncate BEFORE TRUNCATE ON likely_source FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER likely_source_erase BEFORE UPDATE OF evidence, erased_by ON likely_source FOR EACH ROW WHEN (OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL) EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER event_no_update ON event;
CREATE TRIGGER event_no_update BEFORE UPDATE OF event_id, queue, item_id, attempt, from_state, to_state, event, worker_id, at, seal ON event FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER event_erase BEFORE UPDATE OF detail, erased_by ON event FOR EACH ROW WHEN (OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL) EXECUTE FUNCTION refuse_provenance_change();
DROP TRIGGER worker_no_update ON worker;
CREATE TRIGGER worker_no_update BEFORE UPDATE OF worker_id, host, pid, code_version, stages, concurrency, started_at, seal ON worker FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE FUNCTION seal_dataset() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.licence IS NOT NULL AND NEW.licence IS DISTINCT FROM OLD.licence
            OR OLD.seal <> sha256(record_send(ROW(NEW.dataset_id, NEW.name, NEW.uri, OLD.licence, NEW.description_text_id, NEW.description_given, NEW.created_at)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.dataset_id, NEW.name, NEW.uri, NEW.licence, NEW.description_text_id, NEW.description_given, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER dataset_seal BEFORE INSERT OR UPDATE OF licence ON dataset FOR EACH ROW EXECUTE FUNCTION seal_dataset();
CREATE FUNCTION seal_dataset_split() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.dataset_id, NEW.split_id, NEW.config, NEW.split, NEW.uri)));
    RETURN NEW;
END $$;
CREATE TRIGGER dataset_split_seal BEFORE INSERT ON dataset_split FOR EACH ROW EXECUTE FUNCTION seal_dataset_split();
CREATE FUNCTION seal_dataset_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.dataset_id, NEW.column_id, NEW.name)));
    RETURN NEW;
END $$;
CREATE TRIGGER dataset_column_seal BEFORE INSERT ON dataset_column FOR EACH ROW EXECUTE FUNCTION seal_dataset_column();
CREATE FUNCTION seal_split_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.dataset_id, NEW.split_id, NEW.column_id, NEW.position, NEW.source_type, NEW.left_out)));
    RETURN NEW;
END $$;
CREATE TRIGGER split_column_seal BEFORE INSERT ON split_column FOR EACH ROW EXECUTE FUNCTION seal_split_column();
CREATE FUNCTION seal_ingest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.finished_at IS NOT NULL
            OR OLD.seal <> sha256(record_send(ROW(NEW.dataset_id, NEW.ingest_id, OLD.texts_added, OLD.cells_added, NEW.code_version, NEW.created_at, OLD.finished_at)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.dataset_id, NEW.ingest_id, NEW.texts_added, NEW.cells_added, NEW.code_version, NEW.created_at, NEW.finished_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER ingest_seal BEFORE INSERT OR UPDATE OF texts_added, cells_added, finished_at ON ingest FOR EACH ROW EXECUTE FUNCTION seal_ingest();
CREATE FUNCTION seal_ingest_split() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.finished_at IS NOT NULL
            OR OLD.seal <> sha256(record_send(ROW(NEW.dataset_id, NEW.ingest_id, NEW.split_id, NEW.revision, NEW.max_rows, OLD.rows_in_source, OLD.rows_added, OLD.rows_unchanged, OLD.rows_rejected, OLD.finished_at)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.dataset_id, NEW.ingest_id, NEW.split_id, NEW.revision, NEW.max_rows, NEW.rows_in_source, NEW.rows_added, NEW.rows_unchanged, NEW.rows_rejected, NEW.finished_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER ingest_split_seal BEFORE INSERT OR UPDATE OF rows_in_source, rows_added, rows_unchanged, rows_rejected, finished_at ON ingest_split FOR EACH ROW EXECUTE FUNCTION seal_ingest_split();
CREATE FUNCTION seal_ingest_rejection() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.dataset_id, NEW.ingest_id, NEW.split_id, NEW.source_index, NEW.line, NEW.column_name, NEW.reason)));
    RETURN NEW;
END $$;
CREATE TRIGGER ingest_rejection_seal BEFORE INSERT ON ingest_rejection FOR EACH ROW EXECUTE FUNCTION seal_ingest_rejection();
CREATE FUNCTION seal_source_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL
            OR OLD.seal <> sha256(record_send(ROW(NEW.dataset_id, NEW.row_id, NEW.ingest_id, NEW.split_id, NEW.source_index, NEW.source_key, OLD.content, NEW.content_hash, OLD.erased_by)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.dataset_id, NEW.row_id, NEW.ingest_id, NEW.split_id, NEW.source_index, NEW.source_key, NEW.content, NEW.content_hash, NEW.erased_by)));
    RETURN NEW;
END $$;
CREATE TRIGGER source_row_seal BEFORE INSERT OR UPDATE OF content, erased_by ON source_row FOR EACH ROW EXECUTE FUNCTION seal_source_row();
CREATE FUNCTION seal_encoder() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.encoder_id, NEW.name, NEW.revision, NEW.weights_hash, NEW.width, NEW.max_tokens, NEW.precision, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER encoder_seal BEFORE INSERT ON encoder FOR EACH ROW EXECUTE FUNCTION seal_encoder();
CREATE FUNCTION seal_embed_chunk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.embed_chunk_id, NEW.encoder_id, NEW.dataset_id, NEW.first_text_id, NEW.last_text_id)));
    RETURN NEW;
END $$;
CREATE TRIGGER embed_chunk_seal BEFORE INSERT ON embed_chunk FOR EACH ROW EXECUTE FUNCTION seal_embed_chunk();
CREATE FUNCTION seal_embedding() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.dataset_id, NEW.encoder_id, NEW.text_id, NEW.width, halfvec_send(NEW.vector))));
    RETURN NEW;
END $$;
CREATE TRIGGER embedding_seal BEFORE INSERT ON embedding FOR EACH ROW EXECUTE FUNCTION seal_embedding();
CREATE FUNCTION seal_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.task_id, NEW.name, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER task_seal BEFORE INSERT ON task FOR EACH ROW EXECUTE FUNCTION seal_task();
CREATE FUNCTION seal_task_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.task_version_id, NEW.task_id, NEW.version, NEW.instruction, NEW.retrieval_instruction, NEW.examples, NEW.retrieval_examples, NEW.labels, NEW.reasoning, NEW.notes, NEW.content_hash, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER task_version_seal BEFORE INSERT ON task_version FOR EACH ROW EXECUTE FUNCTION seal_task_version();
CREATE FUNCTION seal_task_vector() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.task_version_id, NEW.encoder_id, NEW.input_mean, NEW.output_mean, NEW.instruction)));
    RETURN NEW;
END $$;
CREATE TRIGGER task_vector_seal BEFORE INSERT ON task_vector FOR EACH ROW EXECUTE FUNCTION seal_task_vector();
CREATE FUNCTION seal_retrieval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.rows_scored IS NOT NULL AND NEW.rows_scored IS DISTINCT FROM OLD.rows_scored OR OLD.rows_entered IS NOT NULL AND NEW.rows_entered IS DISTINCT FROM OLD.rows_entered OR OLD.rows_kept IS NOT NULL AND NEW.rows_kept IS DISTINCT FROM OLD.rows_kept OR OLD.rows_displaced IS NOT NULL AND NEW.rows_displaced IS DISTINCT FROM OLD.rows_displaced OR OLD.mirrors_left_out IS NOT NULL AND NEW.mirrors_left_out IS DISTINCT FROM OLD.mirrors_left_out OR OLD.cutoff_score IS NOT NULL AND NEW.cutoff_score IS DISTINCT FROM OLD.cutoff_score OR OLD.retractions_seen IS NOT NULL AND NEW.retractions_seen IS DISTINCT FROM OLD.retractions_seen
            OR OLD.seal <> sha256(record_send(ROW(NEW.retrieval_id, NEW.task_version_id, NEW.encoder_id, NEW.top_n, NEW.scoring, NEW.mirrors, NEW.created_at, OLD.rows_scored, OLD.rows_entered, OLD.rows_kept, OLD.rows_displaced, OLD.mirrors_left_out, OLD.cutoff_score, OLD.retractions_seen)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.retrieval_id, NEW.task_version_id, NEW.encoder_id, NEW.top_n, NEW.scoring, NEW.mirrors, NEW.created_at, NEW.rows_scored, NEW.rows_entered, NEW.rows_kept, NEW.rows_displaced, NEW.mirrors_left_out, NEW.cutoff_score, NEW.retractions_seen)));
    RETURN NEW;
END $$;
CREATE TRIGGER retrieval_seal BEFORE INSERT OR UPDATE OF rows_scored, rows_entered, rows_kept, rows_displaced, mirrors_left_out, cutoff_score, retractions_seen ON retrieval FOR EACH ROW EXECUTE FUNCTION seal_retrieval();
CREATE FUNCTION seal_retrieval_exclusion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.retrieval_id, NEW.dataset_id)));
    RETURN NEW;
END $$;
CREATE TRIGGER retrieval_exclusion_seal BEFORE INSERT ON retrieval_exclusion FOR EACH ROW EXECUTE FUNCTION seal_retrieval_exclusion();
CREATE FUNCTION seal_retrieval_link() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.link_id, NEW.task_version_id, NEW.encoder_id, NEW.dataset_id, NEW.row_id, NEW.input_column_id, NEW.output_column_id, NEW.input_score, NEW.output_score, NEW.dataset_score, NEW.entered_by)));
    RETURN NEW;
END $$;
CREATE TRIGGER retrieval_link_seal BEFORE INSERT ON retrieval_link FOR EACH ROW EXECUTE FUNCTION seal_retrieval_link();
CREATE FUNCTION seal_retrieval_mirror() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.retrieval_id, NEW.dataset_id, NEW.row_id, NEW.kept_link_id)));
    RETURN NEW;
END $$;
CREATE TRIGGER retrieval_mirror_seal BEFORE INSERT ON retrieval_mirror FOR EACH ROW EXECUTE FUNCTION seal_retrieval_mirror();
CREATE FUNCTION seal_teacher() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.teacher_id, NEW.provider, NEW.model, NEW.identity, NEW.content_hash, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER teacher_seal BEFORE INSERT ON teacher FOR EACH ROW EXECUTE FUNCTION seal_teacher();
CREATE FUNCTION seal_prompt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.prompt_id, NEW.name, NEW.template, NEW.content_hash, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER prompt_seal BEFORE INSERT ON prompt FOR EACH ROW EXECUTE FUNCTION seal_prompt();
CREATE FUNCTION seal_generation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL
            OR OLD.seal <> sha256(record_send(ROW(NEW.generation_id, NEW.link_id, NEW.attempt, NEW.reading, NEW.cuts, NEW.reused_from, OLD.erased_by, NEW.teacher_id, NEW.prompt_id, NEW.worker_id, NEW.prompt_hash, OLD.raw_answer, NEW.finish_reason, NEW.response_form, NEW.prompt_tokens, NEW.completion_tokens, NEW.cost, NEW.latency_seconds, NEW.requests, OLD.failures, NEW.maybe_billed, NEW.outcome, OLD.reason, NEW.created_at)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.generation_id, NEW.link_id, NEW.attempt, NEW.reading, NEW.cuts, NEW.reused_from, NEW.erased_by, NEW.teacher_id, NEW.prompt_id, NEW.worker_id, NEW.prompt_hash, NEW.raw_answer, NEW.finish_reason, NEW.response_form, NEW.prompt_tokens, NEW.completion_tokens, NEW.cost, NEW.latency_seconds, NEW.requests, NEW.failures, NEW.maybe_billed, NEW.outcome, NEW.reason, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER generation_seal BEFORE INSERT OR UPDATE OF raw_answer, reason, failures, erased_by ON generation FOR EACH ROW EXECUTE FUNCTION seal_generation();
CREATE FUNCTION seal_example() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL
            OR OLD.seal <> sha256(record_send(ROW(NEW.example_id, NEW.generation_id, NEW.link_id, OLD.input, OLD.output, OLD.rationale, NEW.content_hash, NEW.created_at, OLD.erased_by)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.example_id, NEW.generation_id, NEW.link_id, NEW.input, NEW.output, NEW.rationale, NEW.content_hash, NEW.created_at, NEW.erased_by)));
    RETURN NEW;
END $$;
CREATE TRIGGER example_seal BEFORE INSERT OR UPDATE OF input, output, rationale, erased_by ON example FOR EACH ROW EXECUTE FUNCTION seal_example();
CREATE FUNCTION seal_example_parent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.example_id, NEW.parent_id)));
    RETURN NEW;
END $$;
CREATE TRIGGER example_parent_seal BEFORE INSERT ON example_parent FOR EACH ROW EXECUTE FUNCTION seal_example_parent();
CREATE FUNCTION seal_check_definition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.check_id, NEW.name, NEW.parameters, NEW.content_hash, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER check_definition_seal BEFORE INSERT ON check_definition FOR EACH ROW EXECUTE FUNCTION seal_check_definition();
CREATE FUNCTION seal_judgement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL
            OR OLD.seal <> sha256(record_send(ROW(NEW.judgement_id, NEW.example_id, NEW.points, OLD.erased_by, NEW.teacher_id, NEW.prompt_id, NEW.worker_id, NEW.prompt_hash, OLD.raw_answer, NEW.finish_reason, NEW.response_form, NEW.prompt_tokens, NEW.completion_tokens, NEW.cost, NEW.latency_seconds, NEW.requests, OLD.failures, NEW.maybe_billed, NEW.outcome, OLD.reason, NEW.created_at)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.judgement_id, NEW.example_id, NEW.points, NEW.erased_by, NEW.teacher_id, NEW.prompt_id, NEW.worker_id, NEW.prompt_hash, NEW.raw_answer, NEW.finish_reason, NEW.response_form, NEW.prompt_tokens, NEW.completion_tokens, NEW.cost, NEW.latency_seconds, NEW.requests, NEW.failures, NEW.maybe_billed, NEW.outcome, NEW.reason, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER judgement_seal BEFORE INSERT OR UPDATE OF raw_answer, reason, failures, erased_by ON judgement FOR EACH ROW EXECUTE FUNCTION seal_judgement();
CREATE FUNCTION seal_check_result() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL
            OR OLD.seal <> sha256(record_send(ROW(NEW.check_result_id, NEW.example_id, NEW.check_id, NEW.verdict, NEW.score, OLD.evidence, NEW.other_example_id, NEW.judgement_id, NEW.created_at, OLD.erased_by)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.check_result_id, NEW.example_id, NEW.check_id, NEW.verdict, NEW.score, NEW.evidence, NEW.other_example_id, NEW.judgement_id, NEW.created_at, NEW.erased_by)));
    RETURN NEW;
END $$;
CREATE TRIGGER check_result_seal BEFORE INSERT OR UPDATE OF evidence, erased_by ON check_result FOR EACH ROW EXECUTE FUNCTION seal_check_result();
CREATE FUNCTION seal_budget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.task_id, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER budget_seal BEFORE INSERT ON budget FOR EACH ROW EXECUTE FUNCTION seal_budget();
CREATE FUNCTION seal_reservation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.settled_at IS NOT NULL
            OR OLD.seal <> sha256(record_send(ROW(NEW.reservation_id, NEW.task_id, NEW.worker_id, NEW.link_id, NEW.attempt, NEW.cost, NEW.tokens, OLD.settled_at, OLD.spent_cost, OLD.spent_tokens, OLD.presumed, NEW.created_at)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.reservation_id, NEW.task_id, NEW.worker_id, NEW.link_id, NEW.attempt, NEW.cost, NEW.tokens, NEW.settled_at, NEW.spent_cost, NEW.spent_tokens, NEW.presumed, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER reservation_seal BEFORE INSERT OR UPDATE OF settled_at, spent_cost, spent_tokens, presumed ON reservation FOR EACH ROW EXECUTE FUNCTION seal_reservation();
CREATE FUNCTION seal_training_set() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.training_set_id, NEW.task_version_id, NEW.name, NEW.size, NEW.selection, NEW.manifest_hash, NEW.successor_of, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER training_set_seal BEFORE INSERT ON training_set FOR EACH ROW EXECUTE FUNCTION seal_training_set();
CREATE FUNCTION seal_training_set_member() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.training_set_id, NEW.position, NEW.example_id)));
    RETURN NEW;
END $$;
CREATE TRIGGER training_set_member_seal BEFORE INSERT ON training_set_member FOR EACH ROW EXECUTE FUNCTION seal_training_set_member();
CREATE FUNCTION seal_training_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.environment IS NOT NULL AND NEW.environment IS DISTINCT FROM OLD.environment OR OLD.artifact_path IS NOT NULL AND NEW.artifact_path IS DISTINCT FROM OLD.artifact_path OR OLD.artifact_hash IS NOT NULL AND NEW.artifact_hash IS DISTINCT FROM OLD.artifact_hash
            OR OLD.seal <> sha256(record_send(ROW(NEW.training_run_id, NEW.training_set_id, NEW.student, NEW.base, NEW.base_revision, NEW.base_weights_hash, NEW.hyperparameters, NEW.seed, NEW.code_version, NEW.run_key, NEW.created_at, OLD.environment, OLD.artifact_path, OLD.artifact_hash)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.training_run_id, NEW.training_set_id, NEW.student, NEW.base, NEW.base_revision, NEW.base_weights_hash, NEW.hyperparameters, NEW.seed, NEW.code_version, NEW.run_key, NEW.created_at, NEW.environment, NEW.artifact_path, NEW.artifact_hash)));
    RETURN NEW;
END $$;
CREATE TRIGGER training_run_seal BEFORE INSERT OR UPDATE OF environment, artifact_path, artifact_hash ON training_run FOR EACH ROW EXECUTE FUNCTION seal_training_run();
CREATE FUNCTION seal_metric() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.training_run_id, NEW.attempt, NEW.name, NEW.step, NEW.value)));
    RETURN NEW;
END $$;
CREATE TRIGGER metric_seal BEFORE INSERT ON metric FOR EACH ROW EXECUTE FUNCTION seal_metric();
CREATE FUNCTION seal_benchmark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.benchmark_id, NEW.name, NEW.uri, NEW.content_hash, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER benchmark_seal BEFORE INSERT ON benchmark FOR EACH ROW EXECUTE FUNCTION seal_benchmark();
CREATE FUNCTION seal_benchmark_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.benchmark_id, NEW.position, NEW.item_key, NEW.input, NEW.output)));
    RETURN NEW;
END $$;
CREATE TRIGGER benchmark_item_seal BEFORE INSERT ON benchmark_item FOR EACH ROW EXECUTE FUNCTION seal_benchmark_item();
CREATE FUNCTION seal_evaluation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.evaluation_id, NEW.training_run_id, NEW.benchmark_id, NEW.metric, NEW.value, NEW.low, NEW.high, NEW.majority, NEW.items, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER evaluation_seal BEFORE INSERT ON evaluation FOR EACH ROW EXECUTE FUNCTION seal_evaluation();
CREATE FUNCTION seal_prediction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.evaluation_id, NEW.position, NEW.benchmark_id, NEW.output, NEW.confidence, NEW.correct)));
    RETURN NEW;
END $$;
CREATE TRIGGER prediction_seal BEFORE INSERT ON prediction FOR EACH ROW EXECUTE FUNCTION seal_prediction();
CREATE FUNCTION seal_retraction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.undone_at IS NOT NULL AND NEW.undone_at IS DISTINCT FROM OLD.undone_at OR OLD.undo_reason IS NOT NULL AND NEW.undo_reason IS DISTINCT FROM OLD.undo_reason OR OLD.erased_at IS NOT NULL AND NEW.erased_at IS DISTINCT FROM OLD.erased_at
            OR OLD.seal <> sha256(record_send(ROW(NEW.retraction_id, NEW.kind, NEW.target, NEW.reason, NEW.mirrors, NEW.asked_by, NEW.code_version, NEW.created_at, OLD.undone_at, OLD.undo_reason, OLD.erased_at)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.retraction_id, NEW.kind, NEW.target, NEW.reason, NEW.mirrors, NEW.asked_by, NEW.code_version, NEW.created_at, NEW.undone_at, NEW.undo_reason, NEW.erased_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER retraction_seal BEFORE INSERT OR UPDATE OF undone_at, undo_reason, erased_at ON retraction FOR EACH ROW EXECUTE FUNCTION seal_retraction();
CREATE FUNCTION seal_retracted_dataset() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.retraction_id, NEW.dataset_id)));
    RETURN NEW;
END $$;
CREATE TRIGGER retracted_dataset_seal BEFORE INSERT ON retracted_dataset FOR EACH ROW EXECUTE FUNCTION seal_retracted_dataset();
CREATE FUNCTION seal_retracted_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.retraction_id, NEW.dataset_id, NEW.row_id)));
    RETURN NEW;
END $$;
CREATE TRIGGER retracted_row_seal BEFORE INSERT ON retracted_row FOR EACH ROW EXECUTE FUNCTION seal_retracted_row();
CREATE FUNCTION seal_publication() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.publication_id, NEW.task_id, NEW.name, NEW.form, NEW.uri, NEW.files, NEW.code_version, NEW.created_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER publication_seal BEFORE INSERT ON publication FOR EACH ROW EXECUTE FUNCTION seal_publication();
CREATE FUNCTION seal_published_rank() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.publication_id, NEW.rank, NEW.score, NEW.row_reference, NEW.dataset_id, NEW.row_id)));
    RETURN NEW;
END $$;
CREATE TRIGGER published_rank_seal BEFORE INSERT ON published_rank FOR EACH ROW EXECUTE FUNCTION seal_published_rank();
CREATE FUNCTION seal_published_example() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.published_example_id, NEW.publication_id, NEW.position, NEW.input, NEW.output, NEW.row_reference, NEW.content_hash)));
    RETURN NEW;
END $$;
CREATE TRIGGER published_example_seal BEFORE INSERT ON published_example FOR EACH ROW EXECUTE FUNCTION seal_published_example();
CREATE FUNCTION seal_likely_source() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL
            OR OLD.seal <> sha256(record_send(ROW(NEW.published_example_id, NEW.dataset_id, NEW.row_id, NEW.method, NEW.confidence, OLD.evidence, NEW.created_at, OLD.erased_by)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.published_example_id, NEW.dataset_id, NEW.row_id, NEW.method, NEW.confidence, NEW.evidence, NEW.created_at, NEW.erased_by)));
    RETURN NEW;
END $$;
CREATE TRIGGER likely_source_seal BEFORE INSERT OR UPDATE OF evidence, erased_by ON likely_source FOR EACH ROW EXECUTE FUNCTION seal_likely_source();
CREATE FUNCTION seal_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.erased_by IS NOT NULL OR NEW.erased_by IS NULL
            OR OLD.seal <> sha256(record_send(ROW(NEW.event_id, NEW.queue, NEW.item_id, NEW.attempt, NEW.from_state, NEW.to_state, NEW.event, NEW.worker_id, OLD.detail, NEW.at, OLD.erased_by)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.event_id, NEW.queue, NEW.item_id, NEW.attempt, NEW.from_state, NEW.to_state, NEW.event, NEW.worker_id, NEW.detail, NEW.at, NEW.erased_by)));
    RETURN NEW;
END $$;
CREATE TRIGGER event_seal BEFORE INSERT OR UPDATE OF detail, erased_by ON event FOR EACH ROW EXECUTE FUNCTION seal_event();
CREATE FUNCTION seal_worker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.worker_id, NEW.host, NEW.pid, NEW.code_version, NEW.stages, NEW.concurrency, NEW.started_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER worker_seal BEFORE INSERT ON worker FOR EACH ROW EXECUTE FUNCTION seal_worker();
CREATE FUNCTION seal_row_score() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.task_version_id, NEW.encoder_id, NEW.dataset_id, NEW.retrieval_id, NEW.dataset_score, NEW.row_ids, NEW.input_scores, NEW.output_scores, NEW.input_columns, NEW.output_columns)));
    RETURN NEW;
END $$;
CREATE TRIGGER row_score_seal BEFORE INSERT ON row_score FOR EACH ROW EXECUTE FUNCTION seal_row_score();
