-- Growth: releases of a dataset, receipts of retrievals, parents of runs, what sets have of which datasets.
-- Releases of a dataset: rows that changed or went, and columns load by load.
CREATE TABLE ingest_column (
    dataset_id INTEGER NOT NULL, 
    ingest_id INTEGER NOT NULL, 
    split_id SMALLINT NOT NULL, 
    column_id SMALLINT NOT NULL, 
    position SMALLINT NOT NULL, 
    source_type TEXT NOT NULL, 
    left_out TEXT, 
    seal BYTEA NOT NULL, 
    CONSTRAINT ingest_column_pkey PRIMARY KEY (dataset_id, ingest_id, split_id, column_id), 
    CONSTRAINT ingest_column_dataset_id_ingest_id_split_id_fkey FOREIGN KEY(dataset_id, ingest_id, split_id) REFERENCES ingest_split (dataset_id, ingest_id, split_id), 
    CONSTRAINT ingest_column_dataset_id_column_id_fkey FOREIGN KEY(dataset_id, column_id) REFERENCES dataset_column (dataset_id, column_id)
);
CREATE TABLE removed_row (
    dataset_id INTEGER NOT NULL, 
    row_id INTEGER NOT NULL, 
    ingest_id INTEGER NOT NULL, 
    seal BYTEA NOT NULL, 
    CONSTRAINT removed_row_pkey PRIMARY KEY (dataset_id, row_id), 
    CONSTRAINT removed_row_dataset_id_row_id_fkey FOREIGN KEY(dataset_id, row_id) REFERENCES source_row (dataset_id, row_id), 
    CONSTRAINT removed_row_dataset_id_ingest_id_fkey FOREIGN KEY(dataset_id, ingest_id) REFERENCES ingest (dataset_id, ingest_id)
);
CREATE INDEX removed_row_dataset_id_ingest_id_idx ON removed_row (dataset_id, ingest_id);
CREATE TABLE changed_row (
    dataset_id INTEGER NOT NULL, 
    row_id INTEGER NOT NULL, 
    previous_row_id INTEGER NOT NULL, 
    seal BYTEA NOT NULL, 
    CONSTRAINT changed_row_pkey PRIMARY KEY (dataset_id, row_id), 
    CONSTRAINT changed_row_dataset_id_row_id_fkey FOREIGN KEY(dataset_id, row_id) REFERENCES source_row (dataset_id, row_id), 
    CONSTRAINT changed_row_dataset_id_previous_row_id_fkey FOREIGN KEY(dataset_id, previous_row_id) REFERENCES removed_row (dataset_id, row_id), 
    CONSTRAINT changed_row_dataset_id_previous_row_id_key UNIQUE (dataset_id, previous_row_id), 
    CONSTRAINT changed_row_previous_check CHECK (previous_row_id < row_id)
);
CREATE TABLE retrieval_dataset (
    retrieval_id INTEGER NOT NULL, 
    dataset_id INTEGER NOT NULL, 
    ranked INTEGER NOT NULL, 
    scored INTEGER NOT NULL, 
    entered INTEGER NOT NULL, 
    returned INTEGER NOT NULL, 
    kept INTEGER NOT NULL, 
    displaced INTEGER NOT NULL, 
    seal BYTEA NOT NULL, 
    CONSTRAINT retrieval_dataset_pkey PRIMARY KEY (retrieval_id, dataset_id), 
    CONSTRAINT retrieval_dataset_retrieval_id_fkey FOREIGN KEY(retrieval_id) REFERENCES retrieval (retrieval_id), 
    CONSTRAINT retrieval_dataset_dataset_id_fkey FOREIGN KEY(dataset_id) REFERENCES dataset (dataset_id)
);
CREATE TABLE training_set_mix (
    training_set_id INTEGER NOT NULL, 
    dataset_ids INTEGER[] NOT NULL, 
    examples INTEGER NOT NULL, 
    seal BYTEA NOT NULL, 
    CONSTRAINT training_set_mix_pkey PRIMARY KEY (training_set_id, dataset_ids), 
    CONSTRAINT training_set_mix_dataset_ids_check CHECK (cardinality(dataset_ids) > 0), 
    CONSTRAINT training_set_mix_examples_check CHECK (examples > 0), 
    CONSTRAINT training_set_mix_training_set_id_fkey FOREIGN KEY(training_set_id) REFERENCES training_set (training_set_id)
);
ALTER TABLE source_row ADD COLUMN removed_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE source_row DROP CONSTRAINT source_row_dataset_id_split_id_source_index_key;
ALTER TABLE source_row ADD CONSTRAINT source_row_dataset_id_split_id_source_index_ingest_id_key UNIQUE (dataset_id, split_id, source_index, ingest_id);
CREATE FUNCTION seal_ingest_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.dataset_id, NEW.ingest_id, NEW.split_id, NEW.column_id, NEW.position, NEW.source_type, NEW.left_out)));
    RETURN NEW;
END $$;
CREATE TRIGGER ingest_column_seal BEFORE INSERT ON ingest_column FOR EACH ROW EXECUTE FUNCTION seal_ingest_column();
CREATE FUNCTION seal_removed_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.dataset_id, NEW.row_id, NEW.ingest_id)));
    RETURN NEW;
END $$;
CREATE TRIGGER removed_row_seal BEFORE INSERT ON removed_row FOR EACH ROW EXECUTE FUNCTION seal_removed_row();
CREATE FUNCTION seal_changed_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.dataset_id, NEW.row_id, NEW.previous_row_id)));
    RETURN NEW;
END $$;
CREATE TRIGGER changed_row_seal BEFORE INSERT ON changed_row FOR EACH ROW EXECUTE FUNCTION seal_changed_row();
CREATE FUNCTION seal_retrieval_dataset() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.retrieval_id, NEW.dataset_id, NEW.ranked, NEW.scored, NEW.entered, NEW.returned, NEW.kept, NEW.displaced)));
    RETURN NEW;
END $$;
CREATE TRIGGER retrieval_dataset_seal BEFORE INSERT ON retrieval_dataset FOR EACH ROW EXECUTE FUNCTION seal_retrieval_dataset();
CREATE FUNCTION seal_training_set_mix() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.training_set_id, NEW.dataset_ids, NEW.examples)));
    RETURN NEW;
END $$;
CREATE TRIGGER training_set_mix_seal BEFORE INSERT ON training_set_mix FOR EACH ROW EXECUTE FUNCTION seal_training_set_mix();

-- Every load of a split may have brought each of its columns: which did was not on record.
INSERT INTO ingest_column (dataset_id, ingest_id, split_id, column_id, position, source_type, left_out)
SELECT dataset_id, ingest_id, split_id, column_id, position, source_type, left_out
FROM split_column
INNER JOIN ingest_split USING (dataset_id, split_id);
DROP TABLE split_column;
DROP FUNCTION seal_split_column();

-- What each training set has from which mix of datasets.
INSERT INTO training_set_mix (training_set_id, dataset_ids, examples)
WITH RECURSIVE ancestry AS (
    SELECT member.training_set_id, member.example_id, member.example_id AS maker_id
    FROM training_set_member AS member
    UNION
    SELECT ancestry.training_set_id, ancestry.example_id, example_parent.parent_id
    FROM ancestry
    INNER JOIN example_parent ON example_parent.example_id = ancestry.maker_id
),

mix AS (
    SELECT
        ancestry.training_set_id,
        ancestry.example_id,
        array_agg(DISTINCT link.dataset_id ORDER BY link.dataset_id) AS dataset_ids
    FROM ancestry
    INNER JOIN example ON example.example_id = ancestry.maker_id
    INNER JOIN retrieval_link AS link USING (link_id)
    GROUP BY ancestry.training_set_id, ancestry.example_id
)

SELECT training_set_id, dataset_ids, count(*)
FROM mix
GROUP BY training_set_id, dataset_ids;
CREATE TRIGGER ingest_column_no_update BEFORE UPDATE OF dataset_id, ingest_id, split_id, column_id, position, source_type, left_out, seal ON ingest_column FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER ingest_column_no_delete BEFORE DELETE ON ingest_column FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER ingest_column_no_truncate BEFORE TRUNCATE ON ingest_column FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER removed_row_no_update BEFORE UPDATE OF dataset_id, row_id, ingest_id, seal ON removed_row FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER removed_row_no_delete BEFORE DELETE ON removed_row FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER removed_row_no_truncate BEFORE TRUNCATE ON removed_row FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER changed_row_no_update BEFORE UPDATE OF dataset_id, row_id, previous_row_id, seal ON changed_row FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER changed_row_no_delete BEFORE DELETE ON changed_row FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER changed_row_no_truncate BEFORE TRUNCATE ON changed_row FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retrieval_dataset_no_update BEFORE UPDATE OF retrieval_id, dataset_id, ranked, scored, entered, returned, kept, displaced, seal ON retrieval_dataset FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retrieval_dataset_no_delete BEFORE DELETE ON retrieval_dataset FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retrieval_dataset_no_truncate BEFORE TRUNCATE ON retrieval_dataset FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER training_set_mix_no_update BEFORE UPDATE OF training_set_id, dataset_ids, examples, seal ON training_set_mix FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER training_set_mix_no_delete BEFORE DELETE ON training_set_mix FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER training_set_mix_no_truncate BEFORE TRUNCATE ON training_set_mix FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();

-- New columns of records that are sealed: what lies is not sealed anew.
DO $$ BEGIN
    IF EXISTS (SELECT FROM ingest WHERE seal <> sha256(record_send(ROW(dataset_id, ingest_id, texts_added, cells_added, code_version, created_at, finished_at)))) THEN
        RAISE EXCEPTION 'a record of ingest is not what its seal says: see `rebase verify`';
    END IF;
END $$;
DROP TRIGGER ingest_no_update ON ingest;
DROP TRIGGER ingest_seal ON ingest;
DROP FUNCTION seal_ingest();
ALTER TABLE ingest ADD COLUMN match_by text;
UPDATE ingest SET seal = sha256(record_send(ROW(dataset_id, ingest_id, texts_added, cells_added, match_by, code_version, created_at, finished_at)));
CREATE TRIGGER ingest_no_update BEFORE UPDATE OF dataset_id, ingest_id, match_by, code_version, created_at, seal ON ingest FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE FUNCTION seal_ingest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.finished_at IS NOT NULL
            OR OLD.seal <> sha256(record_send(ROW(NEW.dataset_id, NEW.ingest_id, OLD.texts_added, OLD.cells_added, NEW.match_by, NEW.code_version, NEW.created_at, OLD.finished_at)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.dataset_id, NEW.ingest_id, NEW.texts_added, NEW.cells_added, NEW.match_by, NEW.code_version, NEW.created_at, NEW.finished_at)));
    RETURN NEW;
END $$;
CREATE TRIGGER ingest_seal BEFORE INSERT OR UPDATE OF texts_added, cells_added, finished_at ON ingest FOR EACH ROW EXECUTE FUNCTION seal_ingest();
DO $$ BEGIN
    IF EXISTS (SELECT FROM retrieval WHERE seal <> sha256(record_send(ROW(retrieval_id, task_version_id, encoder_id, top_n, scoring, mirrors, created_at, rows_scored, rows_entered, rows_kept, rows_displaced, mirrors_left_out, cutoff_score, retractions_seen)))) THEN
        RAISE EXCEPTION 'a record of retrieval is not what its seal says: see `rebase verify`';
    END IF;
END $$;
DROP TRIGGER retrieval_no_update ON retrieval;
DROP TRIGGER retrieval_once ON retrieval;
DROP TRIGGER retrieval_seal ON retrieval;
DROP FUNCTION seal_retrieval();
ALTER TABLE retrieval ADD COLUMN weights double precision[];
ALTER TABLE retrieval ADD COLUMN max_share double precision;
ALTER TABLE retrieval ADD COLUMN loads_seen integer;
ALTER TABLE retrieval ADD CONSTRAINT retrieval_max_share_check CHECK (max_share > 0 AND max_share < 1);
ALTER TABLE retrieval ADD CONSTRAINT retrieval_weights_check CHECK (weights IS NULL OR cardinality(weights) = 3 AND 0 <= ALL (weights) AND 0 < ANY (weights) AND scoring = 'average-score');
UPDATE retrieval SET seal = sha256(record_send(ROW(retrieval_id, task_version_id, encoder_id, top_n, scoring, mirrors, weights, max_share, created_at, rows_scored, rows_entered, rows_kept, rows_displaced, mirrors_left_out, cutoff_score, retractions_seen, loads_seen)));
CREATE TRIGGER retrieval_no_update BEFORE UPDATE OF retrieval_id, task_version_id, encoder_id, top_n, scoring, mirrors, weights, max_share, created_at, seal ON retrieval FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retrieval_once BEFORE UPDATE OF rows_scored, rows_entered, rows_kept, rows_displaced, mirrors_left_out, cutoff_score, retractions_seen, loads_seen ON retrieval FOR EACH ROW WHEN (OLD.rows_scored IS NOT NULL AND NEW.rows_scored IS DISTINCT FROM OLD.rows_scored OR OLD.rows_entered IS NOT NULL AND NEW.rows_entered IS DISTINCT FROM OLD.rows_entered OR OLD.rows_kept IS NOT NULL AND NEW.rows_kept IS DISTINCT FROM OLD.rows_kept OR OLD.rows_displaced IS NOT NULL AND NEW.rows_displaced IS DISTINCT FROM OLD.rows_displaced OR OLD.mirrors_left_out IS NOT NULL AND NEW.mirrors_left_out IS DISTINCT FROM OLD.mirrors_left_out OR OLD.cutoff_score IS NOT NULL AND NEW.cutoff_score IS DISTINCT FROM OLD.cutoff_score OR OLD.retractions_seen IS NOT NULL AND NEW.retractions_seen IS DISTINCT FROM OLD.retractions_seen OR OLD.loads_seen IS NOT NULL AND NEW.loads_seen IS DISTINCT FROM OLD.loads_seen) EXECUTE FUNCTION refuse_provenance_change();
CREATE FUNCTION seal_retrieval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.rows_scored IS NOT NULL AND NEW.rows_scored IS DISTINCT FROM OLD.rows_scored OR OLD.rows_entered IS NOT NULL AND NEW.rows_entered IS DISTINCT FROM OLD.rows_entered OR OLD.rows_kept IS NOT NULL AND NEW.rows_kept IS DISTINCT FROM OLD.rows_kept OR OLD.rows_displaced IS NOT NULL AND NEW.rows_displaced IS DISTINCT FROM OLD.rows_displaced OR OLD.mirrors_left_out IS NOT NULL AND NEW.mirrors_left_out IS DISTINCT FROM OLD.mirrors_left_out OR OLD.cutoff_score IS NOT NULL AND NEW.cutoff_score IS DISTINCT FROM OLD.cutoff_score OR OLD.retractions_seen IS NOT NULL AND NEW.retractions_seen IS DISTINCT FROM OLD.retractions_seen OR OLD.loads_seen IS NOT NULL AND NEW.loads_seen IS DISTINCT FROM OLD.loads_seen
            OR OLD.seal <> sha256(record_send(ROW(NEW.retrieval_id, NEW.task_version_id, NEW.encoder_id, NEW.top_n, NEW.scoring, NEW.mirrors, NEW.weights, NEW.max_share, NEW.created_at, OLD.rows_scored, OLD.rows_entered, OLD.rows_kept, OLD.rows_displaced, OLD.mirrors_left_out, OLD.cutoff_score, OLD.retractions_seen, OLD.loads_seen)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.retrieval_id, NEW.task_version_id, NEW.encoder_id, NEW.top_n, NEW.scoring, NEW.mirrors, NEW.weights, NEW.max_share, NEW.created_at, NEW.rows_scored, NEW.rows_entered, NEW.rows_kept, NEW.rows_displaced, NEW.mirrors_left_out, NEW.cutoff_score, NEW.retractions_seen, NEW.loads_seen)));
    RETURN NEW;
END $$;
CREATE TRIGGER retrieval_seal BEFORE INSERT OR UPDATE OF rows_scored, rows_entered, rows_kept, rows_displaced, mirrors_left_out, cutoff_score, retractions_seen, loads_seen ON retrieval FOR EACH ROW EXECUTE FUNCTION seal_retrieval();
DO $$ BEGIN
    IF EXISTS (SELECT FROM training_run WHERE seal <> sha256(record_send(ROW(training_run_id, training_set_id, student, base, base_revision, base_weights_hash, hyperparameters, seed, code_version, run_key, created_at, environment, artifact_path, artifact_hash)))) THEN
        RAISE EXCEPTION 'a record of training_run is not what its seal says: see `rebase verify`';
    END IF;
END $$;
DROP TRIGGER training_run_no_update ON training_run;
DROP TRIGGER training_run_seal ON training_run;
DROP FUNCTION seal_training_run();
ALTER TABLE training_run ADD COLUMN parent_run_id integer REFERENCES training_run (training_run_id);
ALTER TABLE training_run ADD CONSTRAINT training_run_parent_check CHECK (parent_run_id < training_run_id);
UPDATE training_run SET seal = sha256(record_send(ROW(training_run_id, training_set_id, student, base, base_revision, base_weights_hash, hyperparameters, seed, parent_run_id, code_version, run_key, created_at, environment, artifact_path, artifact_hash)));
CREATE TRIGGER training_run_no_update BEFORE UPDATE OF training_run_id, training_set_id, student, base, base_revision, base_weights_hash, hyperparameters, seed, parent_run_id, code_version, run_key, created_at, seal ON training_run FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE FUNCTION seal_training_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.environment IS NOT NULL AND NEW.environment IS DISTINCT FROM OLD.environment OR OLD.artifact_path IS NOT NULL AND NEW.artifact_path IS DISTINCT FROM OLD.artifact_path OR OLD.artifact_hash IS NOT NULL AND NEW.artifact_hash IS DISTINCT FROM OLD.artifact_hash
            OR OLD.seal <> sha256(record_send(ROW(NEW.training_run_id, NEW.training_set_id, NEW.student, NEW.base, NEW.base_revision, NEW.base_weights_hash, NEW.hyperparameters, NEW.seed, NEW.parent_run_id, NEW.code_version, NEW.run_key, NEW.created_at, OLD.environment, OLD.artifact_path, OLD.artifact_hash)))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW.seal := sha256(record_send(ROW(NEW.training_run_id, NEW.training_set_id, NEW.student, NEW.base, NEW.base_revision, NEW.base_weights_hash, NEW.hyperparameters, NEW.seed, NEW.parent_run_id, NEW.code_version, NEW.run_key, NEW.created_at, NEW.environment, NEW.artifact_path, NEW.artifact_hash)));
    RETURN NEW;
END $$;
CREATE TRIGGER training_run_seal BEFORE INSERT OR UPDATE OF environment, artifact_path, artifact_hash ON training_run FOR EACH ROW EXECUTE FUNCTION seal_training_run();

-- What is counted of calls, in the index.
ALTER TABLE generation DROP CONSTRAINT generation_link_id_attempt_key;
ALTER TABLE generation ADD CONSTRAINT generation_link_id_attempt_key UNIQUE (link_id, attempt) INCLUDE (outcome, reused_from, cost);

-- What a judge said, by teacher and by prompt.
CREATE INDEX judgement_prompt_id_idx ON judgement (prompt_id);
CREATE INDEX judgement_teacher_id_idx ON judgement (teacher_id);
SET CONSTRAINTS ALL IMMEDIATE;
DROP SCHEMA lineage CASCADE;
