-- Back to 0004; refused where a row has been removed from its source, which has no form there.
DROP SCHEMA lineage CASCADE;
DO $$ BEGIN
    IF EXISTS (SELECT FROM removed_row) THEN
        RAISE EXCEPTION 'rows were removed from their sources, which 0004 cannot say';
    END IF;
END $$;
CREATE TABLE split_column (
    dataset_id INTEGER NOT NULL,
    split_id SMALLINT NOT NULL,
    column_id SMALLINT NOT NULL,
    position SMALLINT NOT NULL,
    source_type TEXT NOT NULL,
    left_out TEXT,
    seal BYTEA NOT NULL,
    CONSTRAINT split_column_pkey PRIMARY KEY (dataset_id, split_id, column_id),
    CONSTRAINT split_column_dataset_id_split_id_fkey FOREIGN KEY (dataset_id, split_id) REFERENCES dataset_split (dataset_id, split_id),
    CONSTRAINT split_column_dataset_id_column_id_fkey FOREIGN KEY (dataset_id, column_id) REFERENCES dataset_column (dataset_id, column_id)
);
CREATE FUNCTION seal_split_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := sha256(record_send(ROW(NEW.dataset_id, NEW.split_id, NEW.column_id, NEW.position, NEW.source_type, NEW.left_out)));
    RETURN NEW;
END $$;
CREATE TRIGGER split_column_seal BEFORE INSERT ON split_column FOR EACH ROW EXECUTE FUNCTION seal_split_column();
INSERT INTO split_column
SELECT DISTINCT ON (dataset_id, split_id, column_id) dataset_id, split_id, column_id, position, source_type, left_out
FROM ingest_column
ORDER BY dataset_id, split_id, column_id, ingest_id;
CREATE TRIGGER split_column_no_update BEFORE UPDATE OF dataset_id, split_id, column_id, position, source_type, left_out, seal ON split_column FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER split_column_no_delete BEFORE DELETE ON split_column FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER split_column_no_truncate BEFORE TRUNCATE ON split_column FOR EACH STATEMENT EXECUTE FUNCTION refuse_provenance_change();
DO $$ BEGIN
    IF EXISTS (SELECT FROM ingest WHERE seal <> sha256(record_send(ROW(dataset_id, ingest_id, texts_added, cells_added, match_by, code_version, created_at, finished_at)))) THEN
        RAISE EXCEPTION 'a record of ingest is not what its seal says: see `rebase verify`';
    END IF;
END $$;
DROP TRIGGER ingest_no_update ON ingest;
DROP TRIGGER ingest_seal ON ingest;
DROP FUNCTION seal_ingest();
ALTER TABLE ingest DROP COLUMN match_by;
UPDATE ingest SET seal = sha256(record_send(ROW(dataset_id, ingest_id, texts_added, cells_added, code_version, created_at, finished_at)));
CREATE TRIGGER ingest_no_update BEFORE UPDATE OF dataset_id, ingest_id, code_version, created_at, seal ON ingest FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
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
DO $$ BEGIN
    IF EXISTS (SELECT FROM retrieval WHERE seal <> sha256(record_send(ROW(retrieval_id, task_version_id, encoder_id, top_n, scoring, mirrors, weights, max_share, created_at, rows_scored, rows_entered, rows_kept, rows_displaced, mirrors_left_out, cutoff_score, retractions_seen, loads_seen)))) THEN
        RAISE EXCEPTION 'a record of retrieval is not what its seal says: see `rebase verify`';
    END IF;
END $$;
DROP TRIGGER retrieval_no_update ON retrieval;
DROP TRIGGER retrieval_once ON retrieval;
DROP TRIGGER retrieval_seal ON retrieval;
DROP FUNCTION seal_retrieval();
ALTER TABLE retrieval DROP COLUMN weights;
ALTER TABLE retrieval DROP COLUMN max_share;
ALTER TABLE retrieval DROP COLUMN loads_seen;
UPDATE retrieval SET seal = sha256(record_send(ROW(retrieval_id, task_version_id, encoder_id, top_n, scoring, mirrors, created_at, rows_scored, rows_entered, rows_kept, rows_displaced, mirrors_left_out, cutoff_score, retractions_seen)));
CREATE TRIGGER retrieval_no_update BEFORE UPDATE OF retrieval_id, task_version_id, encoder_id, top_n, scoring, mirrors, created_at, seal ON retrieval FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
CREATE TRIGGER retrieval_once BEFORE UPDATE OF rows_scored, rows_entered, rows_kept, rows_displaced, mirrors_left_out, cutoff_score, retractions_seen ON retrieval FOR EACH ROW WHEN (OLD.rows_scored IS NOT NULL AND NEW.rows_scored IS DISTINCT FROM OLD.rows_scored OR OLD.rows_entered IS NOT NULL AND NEW.rows_entered IS DISTINCT FROM OLD.rows_entered OR OLD.rows_kept IS NOT NULL AND NEW.rows_kept IS DISTINCT FROM OLD.rows_kept OR OLD.rows_displaced IS NOT NULL AND NEW.rows_displaced IS DISTINCT FROM OLD.rows_displaced OR OLD.mirrors_left_out IS NOT NULL AND NEW.mirrors_left_out IS DISTINCT FROM OLD.mirrors_left_out OR OLD.cutoff_score IS NOT NULL AND NEW.cutoff_score IS DISTINCT FROM OLD.cutoff_score OR OLD.retractions_seen IS NOT NULL AND NEW.retractions_seen IS DISTINCT FROM OLD.retractions_seen) EXECUTE FUNCTION refuse_provenance_change();
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
DO $$ BEGIN
    IF EXISTS (SELECT FROM training_run WHERE seal <> sha256(record_send(ROW(training_run_id, training_set_id, student, base, base_revision, base_weights_hash, hyperparameters, seed, parent_run_id, code_version, run_key, created_at, environment, artifact_path, artifact_hash)))) THEN
        RAISE EXCEPTION 'a record of training_run is not what its seal says: see `rebase verify`';
    END IF;
END $$;
DROP TRIGGER training_run_no_update ON training_run;
DROP TRIGGER training_run_seal ON training_run;
DROP FUNCTION seal_training_run();
ALTER TABLE training_run DROP COLUMN parent_run_id;
UPDATE training_run SET seal = sha256(record_send(ROW(training_run_id, training_set_id, student, base, base_revision, base_weights_hash, hyperparameters, seed, code_version, run_key, created_at, environment, artifact_path, artifact_hash)));
CREATE TRIGGER training_run_no_update BEFORE UPDATE OF training_run_id, training_set_id, student, base, base_revision, base_weights_hash, hyperparameters, seed, code_version, run_key, created_at, seal ON training_run FOR EACH ROW EXECUTE FUNCTION refuse_provenance_change();
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
ALTER TABLE generation DROP CONSTRAINT generation_link_id_attempt_key;
ALTER TABLE generation ADD CONSTRAINT generation_link_id_attempt_key UNIQUE (link_id, attempt);
DROP INDEX judgement_prompt_id_idx;
DROP INDEX judgement_teacher_id_idx;
DROP TABLE training_set_mix;
DROP FUNCTION seal_training_set_mix();
DROP TABLE retrieval_dataset;
DROP FUNCTION seal_retrieval_dataset();
DROP TABLE changed_row;
DROP FUNCTION seal_changed_row();
DROP TABLE removed_row;
DROP FUNCTION seal_removed_row();
DROP TABLE ingest_column;
DROP FUNCTION seal_ingest_column();
ALTER TABLE source_row DROP CONSTRAINT source_row_dataset_id_split_id_source_index_ingest_id_key;
ALTER TABLE source_row ADD CONSTRAINT source_row_dataset_id_split_id_source_index_key UNIQUE (dataset_id, split_id, source_index);
ALTER TABLE source_row DROP COLUMN removed_at;
SET CONSTRAINTS ALL IMMEDIATE;
