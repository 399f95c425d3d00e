-- Rows in every state of every queue, as a database of revision 0002 may have them: finished by a worker that stopped,
-- in the hands of one that was killed, cancelled, and still to do. Never changed once its revision is released.

INSERT INTO worker (host, pid, code_version, stages, concurrency, stopped_at)
VALUES ('here', 1, '0.2.0', '{embed,retrieve,transform,distill}', 4, now());
INSERT INTO worker (host, pid, code_version) VALUES ('here', 2, '0.2.0'); -- no process holds its lock

BEGIN;
INSERT INTO dataset (name, uri, licence, description_text_id, description_given, last_row_id, last_text_id)
VALUES ('letters', 'file:letters', 'MIT', 1, true, 10, 10);
INSERT INTO text (dataset_id, text_id, sha256, text)
SELECT 1, n, sha256(convert_to(chr(96 + n), 'UTF8')), chr(96 + n) FROM generate_series(1, 10) AS n;
COMMIT;
INSERT INTO dataset_split VALUES (1, 1, 'default', 'train', 'file:letters');
INSERT INTO dataset_column VALUES (1, 1, 'letter'), (1, 2, 'picture');
INSERT INTO ingest (dataset_id, ingest_id, texts_added, cells_added, code_version) VALUES (1, 1, 10, 10, '0.2.0');
INSERT INTO ingest_split VALUES (1, 1, 1, 'abc', 10, 11, 10, 0, 1);
INSERT INTO ingest_column VALUES (1, 1, 1, 1, 1, 'string', NULL), (1, 1, 1, 2, 2, 'image', 'binary');
INSERT INTO ingest_rejection VALUES (1, 1, 1, 10, 11, 'letter', 'not a letter');
INSERT INTO source_row (dataset_id, row_id, ingest_id, split_id, source_index, source_key, content, content_hash)
SELECT 1, n, 1, 1, n - 1, 'k' || n, jsonb_build_object('letter', chr(96 + n)), sha256(convert_to(chr(96 + n), 'UTF8'))
FROM generate_series(1, 10) AS n;
INSERT INTO cell SELECT 1, n, 1, n FROM generate_series(1, 10) AS n;

INSERT INTO encoder (name, revision, weights_hash, width, max_tokens, precision)
VALUES ('e', '1', sha256('e'), 3, 8, 'float32');
INSERT INTO embedding SELECT 1, 1, n, 3, '[1,0,0]' FROM generate_series(1, 2) AS n;
INSERT INTO embed_chunk (
    encoder_id, dataset_id, first_text_id, last_text_id, state, worker_id, attempt, attempt_limit, crashes, error,
    finished_at
) VALUES
(1, 1, 1, 2, 'done', NULL, 1, 5, 0, NULL, now()),
(1, 1, 3, 4, 'running', 2, 2, 5, 1, 'worker 1 died in attempt 1', NULL),
(1, 1, 5, 6, 'failed', NULL, 5, 5, 5, 'worker 1 died in attempt 5', now()),
(1, 1, 7, 8, 'waiting', NULL, 2, 7, 0, 'busy', NULL),
(1, 1, 9, 10, 'cancelled', NULL, 0, 5, 0, 'cancelled', now());

INSERT INTO task (name, settings, priority, paused_at) VALUES
('letters', '{"top_n": 8}', 2, NULL),
('numbers', '{"top_n": 8}', 0, now());
INSERT INTO task_version (
    task_id, version, instruction, retrieval_instruction, examples, retrieval_examples, labels, reasoning, notes,
    content_hash
) VALUES (1, 1, 'Which?', 'Which?', '[]', '[]', '["a", "b"]', false, '', sha256('t'));
INSERT INTO task_vector VALUES (1, 1, '{1,0,0}', '{0,1,0}', '{0,0,1}');
INSERT INTO retrieval (
    task_version_id, encoder_id, top_n, scoring, mirrors, state, worker_id, attempt, error, finished_at, rows_scored,
    rows_entered, rows_kept, rows_displaced, mirrors_left_out, cutoff_score
) VALUES
(1, 1, 8, 'average-score', 'first', 'done', NULL, 1, NULL, now(), 8, 7, 7, 1, 1, 0.5),
(1, 1, 4, 'average-rank', 'all', 'running', 2, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(1, 1, 2, 'max-rank', 'all', 'failed', NULL, 5, 'worker 1 died', now(), NULL, NULL, NULL, NULL, NULL, NULL),
(1, 1, 1, 'max-rank', 'first', 'waiting', NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(1, 1, 3, 'max-rank', 'first', 'cancelled', NULL, 1, 'cancelled', now(), NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO retrieval_exclusion VALUES (3, 1);
INSERT INTO retrieval_dataset VALUES (1, 1, 8, 8, 7, 0, 0, 1);
INSERT INTO row_score VALUES (1, 1, 1, 1, 0.5, '{1,2}', '{0.5,0.4}', '{0.3,0.2}', '{1,1}', '{1,1}');
INSERT INTO retrieval_link (
    task_version_id, encoder_id, dataset_id, row_id, input_column_id, output_column_id, input_score, output_score,
    dataset_score, score, rank, entered_by, displaced_by, state, worker_id, attempt, error, finished_at
) VALUES
(1, 1, 1, 1, 1, 1, 0.9, 0.9, 0.9, 0.9, 1, 1, NULL, 'distilled', NULL, 1, NULL, now()),
(1, 1, 1, 2, 1, 1, 0.8, 0.8, 0.8, 0.8, 2, 1, NULL, 'transformed', NULL, 1, NULL, now()),
(1, 1, 1, 3, 1, 1, 0.7, 0.7, 0.7, 0.7, 3, 1, NULL, 'rejected', NULL, 1, 'not a letter', now()),
(1, 1, 1, 4, 1, 1, 0.6, 0.6, 0.6, 0.6, 4, 1, NULL, 'failed', NULL, 5, 'timed out', now()),
(1, 1, 1, 5, 1, 1, 0.5, 0.5, 0.5, 0.5, 5, 1, NULL, 'transforming', 2, 2, NULL, NULL),
(1, 1, 1, 6, 1, 1, 0.4, 0.4, 0.4, 0.4, 6, 1, NULL, 'retrieved', NULL, 0, NULL, NULL),
(1, 1, 1, 7, 1, 1, 0.3, 0.3, 0.3, 0.3, 7, 1, 1, 'retrieved', NULL, 0, NULL, NULL),
(1, 1, 1, 9, 1, 1, 0.2, 0.2, 0.2, 0.2, 8, 1, NULL, 'cancelled', NULL, 1, 'cancelled', now());
INSERT INTO retrieval_mirror VALUES (1, 1, 8, 1);

INSERT INTO teacher (provider, model, identity, content_hash) VALUES ('template', '', '{}', sha256('teacher'));
INSERT INTO prompt (name, template, content_hash) VALUES ('template', '{{ letter }}', sha256('prompt'));
INSERT INTO generation (
    link_id, attempt, teacher_id, prompt_id, worker_id, prompt_hash, raw_answer, finish_reason, response_form,
    prompt_tokens, completion_tokens, cost, latency_seconds, requests, failures, maybe_billed, outcome, reason, reading,
    cuts, reused_from
) VALUES
(1, 1, 1, 1, 1, sha256('1'), '{}', 'stop', 'json_schema', 5, 2, 0.001, 0.1, 2, '{HTTP 500}', false, 'parsed', NULL, 'strict',
    '{"letter": [1, 2]}', NULL),
(2, 1, 1, 1, 1, sha256('1'), NULL, 'stop', 'json_schema', NULL, NULL, NULL, 0, 0, '{}', false, 'parsed', NULL, 'strict', NULL, 1),
(3, 1, 1, 1, 1, sha256('3'), NULL, NULL, 'text', NULL, NULL, NULL, 0.1, 1, '{}', false, 'rejected', 'not a letter', NULL, NULL, NULL),
(4, 5, 1, 1, 1, sha256('4'), NULL, NULL, NULL, NULL, NULL, NULL, 9.9, 1, '{}', true, 'error', 'timed out', NULL, NULL, NULL),
(5, 1, 1, 1, 2, sha256('5'), NULL, NULL, NULL, NULL, NULL, NULL, 0.1, 1, '{}', false, 'error', 'refused', NULL, NULL, NULL);
INSERT INTO example (generation_id, link_id, input, output, rationale, content_hash) VALUES
(1, 1, 'a', 'A', 'it is a', sha256('a')),
(2, 2, 'b', 'B', NULL, sha256('b'));

INSERT INTO check_definition (name, parameters, content_hash) VALUES
('duplicate', '{"action": "reject"}', sha256('duplicate')), ('judge', '{"action": "reject", "points": 3}', sha256('judge'));
INSERT INTO judgement (
    example_id, points, teacher_id, prompt_id, worker_id, prompt_hash, raw_answer, latency_seconds, outcome, reason
) VALUES
(1, 4, 1, 1, 1, sha256('j1'), '{}', 0.1, 'judged', 'it fits'), (2, NULL, 1, 1, 1, sha256('j2'), NULL, 0.1, 'error', 'silent');
INSERT INTO check_result (example_id, check_id, verdict, score, evidence, other_example_id, judgement_id) VALUES
(1, 1, 'pass', 0, '{}', NULL, NULL), (2, 1, 'fail', 1, '{"verbatim": true}', 1, NULL), (1, 2, 'pass', 4, '{}', NULL, 1);
INSERT INTO budget (task_id, max_cost, max_tokens, max_examples, spent_cost, spent_tokens, held_cost, held_tokens)
VALUES (1, 1.5, 1000, 10, 0.002, 14, 0.001, 7);
INSERT INTO reservation (task_id, worker_id, link_id, attempt, cost, tokens, settled_at, spent_cost, spent_tokens, presumed)
VALUES
(1, 1, 1, 1, 0.001, 7, now(), 0.001, 7, false), (1, 1, 4, 5, 0.001, 7, now(), 0.001, 7, true),
(1, 2, 5, 1, 0.001, 7, NULL, NULL, NULL, false);

INSERT INTO training_set (task_version_id, name, size, selection, manifest_hash)
VALUES (1, 'letters-1', 2, '{}', sha256('set'));
INSERT INTO training_set_member VALUES (1, 1, 1), (1, 2, 2);
INSERT INTO training_run (
    training_set_id, student, base, base_revision, base_weights_hash, hyperparameters, seed, code_version, run_key,
    environment, artifact_path, artifact_hash, state, worker_id, attempt, error, finished_at
) VALUES
(1, 'classifier', 'b', '1', sha256('b'), '{}', 1, '0.2.0', sha256('1'), '{}', 'there', sha256('x'), 'done', NULL, 1, NULL, now()),
(1, 'classifier', 'b', '1', sha256('b'), '{}', 2, '0.2.0', sha256('2'), NULL, NULL, NULL, 'running', 2, 1, NULL, NULL),
(1, 'classifier', 'b', '1', sha256('b'), '{}', 3, '0.2.0', sha256('3'), NULL, NULL, NULL, 'failed', NULL, 5, 'no memory', now()),
(1, 'classifier', 'b', '1', sha256('b'), '{}', 4, '0.2.0', sha256('4'), NULL, NULL, NULL, 'waiting', NULL, 0, NULL, NULL),
(1, 'classifier', 'b', '1', sha256('b'), '{}', 5, '0.2.0', sha256('5'), NULL, NULL, NULL, 'cancelled', NULL, 1, 'cancelled', now());
INSERT INTO metric VALUES (1, 1, 'loss', 1, 0.5), (1, 1, 'loss', 2, 0.25);

INSERT INTO benchmark (name, uri, content_hash) VALUES ('b', 'file:b', sha256('b'));
INSERT INTO benchmark_item VALUES (1, 1, 'one', 'c', 'C'), (1, 2, 'two', 'd', 'D');
INSERT INTO evaluation (training_run_id, benchmark_id, metric, value, low, high, majority, items)
VALUES (1, 1, 'accuracy', 0.5, 0.1, 0.9, 0.5, 2);
INSERT INTO prediction VALUES (1, 1, 1, 'C', 0.9, true), (1, 2, 1, 'C', 0.6, false);

INSERT INTO event (queue, item_id, attempt, from_state, to_state, event, worker_id, detail) VALUES
('retrieval_link', 1, 1, 'retrieved', 'transforming', 'claim', 1, NULL),
('retrieval_link', 1, 1, 'transforming', 'transformed', 'done', 1, NULL),
('retrieval_link', 3, 1, 'transforming', 'rejected', 'reject', 1, 'not a letter'),
('retrieval_link', 8, 1, 'transforming', 'cancelled', 'cancel', NULL, NULL),
('embed_chunk', 4, 2, 'running', 'waiting', 'snooze', 1, 'busy');

INSERT INTO retraction (kind, target, reason, asked_by, code_version, undone_at, undo_reason) VALUES
('row', 'letters default/train 1', 'asked for', 'somebody', '0.4.0', NULL, NULL),
('licence', 'MIT', 'by mistake', 'somebody', '0.4.0', now(), 'was a mistake');
INSERT INTO retracted_row (retraction_id, dataset_id, row_id) VALUES (1, 1, 2), (2, 1, 1);
INSERT INTO retracted_dataset (retraction_id, dataset_id) VALUES (2, 1);
UPDATE source_row SET retracted_at = now() WHERE (dataset_id, row_id) = (1, 2);
INSERT INTO removed_row VALUES (1, 9, 1);
INSERT INTO changed_row VALUES (1, 10, 9);
UPDATE source_row SET removed_at = now() WHERE (dataset_id, row_id) = (1, 9);
INSERT INTO training_set_mix VALUES (1, '{1}', 2);
UPDATE retrieval_link SET retracted_at = now() WHERE (dataset_id, row_id) = (1, 2);
INSERT INTO example_parent (example_id, parent_id) VALUES (2, 1);
INSERT INTO training_set (task_version_id, name, size, selection, manifest_hash, successor_of)
VALUES (1, 'letters-2', 1, '{}', sha256('clean'), 1);
INSERT INTO training_set_member (training_set_id, position, example_id) VALUES (2, 1, 1);
INSERT INTO publication (task_id, name, form, uri, files, code_version) VALUES
(1, 'published', 'rebase', 'file:published', '{}', '0.4.0');
INSERT INTO published_rank (publication_id, rank, score, row_reference, dataset_id, row_id) VALUES
(1, 1, 0.5, '{"dataset_id": "letters", "row_id": "1"}', 1, 1), (1, 2, 0.4, '{"dataset_id": "numbers"}', NULL, NULL);
INSERT INTO published_example (publication_id, position, input, output, row_reference, content_hash) VALUES
(1, 1, 'a', 'A', NULL, sha256('a'));
INSERT INTO likely_source (published_example_id, dataset_id, row_id, method, confidence, evidence) VALUES
(1, 1, 1, 'words', 0.5, '{}');
