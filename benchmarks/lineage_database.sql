-- Fills a fresh database with everything between datasets and scores, so that there are as many examples as `scale` says.
-- `scale` is a temporary table of one row: examples, rows, runs, seed. Foreign keys and triggers are off, seals are computed.
-- Hashes of contents are well formed, not true. Not filled: vectors and part scores, which nothing reads that is measured here, and what only workers look at.

-- Evenly spread in [0, 1), the same for the same seed.
CREATE FUNCTION pg_temp.chance(number bigint, salt integer) RETURNS double precision LANGUAGE sql STABLE AS
'SELECT (hashint8extended(number, salt + (SELECT seed FROM scale)) & 1073741823) / 1073741824.0::float8';
CREATE FUNCTION pg_temp.digest(words text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
'SELECT sha256(convert_to(words, ''UTF8''))';

-- 40 datasets, the size of each as one divided by its rank: the largest has 23 % of all rows.
CREATE TEMPORARY TABLE plan AS
SELECT
    k AS dataset_id,
    greatest(20, floor(rows / (k * (SELECT sum(1.0 / n) FROM generate_series(1, 40) AS n)))::integer) AS rows
FROM scale, generate_series(1, 40) AS k;
ALTER TABLE plan ADD first bigint;
UPDATE plan SET first = 1 + (SELECT coalesce(sum(rows), 0) FROM plan AS before WHERE before.dataset_id < plan.dataset_id);
CREATE TEMPORARY TABLE firsts AS SELECT array_agg(first::double precision ORDER BY dataset_id) AS firsts FROM plan;
ANALYZE plan;

INSERT INTO worker (host, pid, code_version, stopped_at) VALUES ('here', 1, '0', clock_timestamp());
INSERT INTO dataset (dataset_id, name, uri, licence, description_text_id, description_given, last_row_id, last_text_id)
OVERRIDING SYSTEM VALUE
SELECT
    dataset_id, 'dataset-' || dataset_id, 'file:dataset-' || dataset_id,
    (ARRAY['CC-BY-4.0', 'MIT', 'CC0-1.0', NULL, 'CC-BY-NC-4.0', 'Apache-2.0', 'CC-BY-SA-4.0', NULL])[1 + dataset_id % 8],
    1, true, rows, 1100 + 2 * rows
FROM plan;
INSERT INTO dataset_split (dataset_id, split_id, config, split, uri)
SELECT dataset_id, split_id, 'default', (ARRAY['train', 'test'])[split_id], 'file:dataset-' || dataset_id
FROM plan, generate_series(1, 1 + dataset_id % 2) AS split_id;
INSERT INTO dataset_column (dataset_id, column_id, name)
SELECT dataset_id, column_id, (ARRAY['label', 'question', 'text', 'answer', 'topic'])[column_id]
FROM plan, generate_series(1, 5) AS column_id;
INSERT INTO ingest (dataset_id, ingest_id, code_version) SELECT dataset_id, n, '0' FROM plan, generate_series(1, 2) AS n;
INSERT INTO ingest_column (dataset_id, ingest_id, split_id, column_id, position, source_type)
SELECT dataset_id, ingest_id, split_id, column_id, column_id, 'string'
FROM dataset_split INNER JOIN ingest USING (dataset_id) INNER JOIN dataset_column USING (dataset_id);
-- 4 of 5 rows came with the first load, and 4 of 5 are in the first split where there are two.
CREATE TEMPORARY TABLE row_plan AS
SELECT
    dataset_id, row_id,
    CASE WHEN row_id <= rows * 4 / 5 THEN 1 ELSE 2 END AS ingest_id,
    CASE WHEN dataset_id % 2 = 1 AND row_id % 5 = 0 THEN 2 ELSE 1 END::smallint AS split_id,
    -- One row in a hundred has the content hash of the row with its number in the dataset before.
    CASE WHEN row_id % 100 = 7 AND dataset_id > 1 THEN dataset_id - 1 ELSE dataset_id END AS content_of
FROM plan, generate_series(1, rows) AS row_id;
INSERT INTO ingest_split (dataset_id, ingest_id, split_id, revision, rows_in_source, rows_added)
SELECT dataset_id, ingest_id, split_id, repeat('a', 40), count(*), count(*)
FROM row_plan GROUP BY dataset_id, ingest_id, split_id;

-- Five columns; which text of its dataset stands in each, some shared by many rows.
CREATE FUNCTION pg_temp.text_of(row_id integer, column_id integer, rows integer) RETURNS integer LANGUAGE sql IMMUTABLE AS
'SELECT CASE column_id
    WHEN 1 THEN 2 + row_id % 20
    WHEN 2 THEN 22 + row_id / 4
    WHEN 3 THEN 1100 + rows / 4 + row_id
    WHEN 4 THEN 1101 + rows / 4 + rows + row_id / 2
    ELSE 22 + rows / 4 + 1 + row_id % 1000 END';
CREATE FUNCTION pg_temp.words(dataset_id integer, text_id integer) RETURNS text LANGUAGE sql IMMUTABLE AS
'SELECT ''Text '' || text_id || '' of dataset '' || dataset_id || '', which goes on for a line as most texts do.''';
INSERT INTO text (dataset_id, text_id, sha256, text)
SELECT dataset_id, text_id, pg_temp.digest(pg_temp.words(dataset_id, text_id)), pg_temp.words(dataset_id, text_id)
FROM (
    SELECT dataset_id, text_id FROM plan, generate_series(1, 23 + rows / 4 + 1000) AS text_id
    UNION
    SELECT dataset_id, text_id
    FROM plan, generate_series(1100 + rows / 4, 1101 + rows / 4 + rows + rows / 2) AS text_id
) AS known;
INSERT INTO source_row (dataset_id, row_id, ingest_id, split_id, source_index, content, content_hash, retracted_at)
SELECT
    dataset_id, row_id, ingest_id, split_id, row_id - 1, content,
    pg_temp.digest('row ' || content_of || ' ' || row_id),
    CASE WHEN dataset_id = 3 AND row_id <= 500 THEN clock_timestamp() END
FROM row_plan
INNER JOIN plan USING (dataset_id),
LATERAL jsonb_build_object(
    'label', pg_temp.words(dataset_id, pg_temp.text_of(row_id, 1, rows)),
    'question', pg_temp.words(dataset_id, pg_temp.text_of(row_id, 2, rows)),
    'text', pg_temp.words(dataset_id, pg_temp.text_of(row_id, 3, rows)),
    'answer', pg_temp.words(dataset_id, pg_temp.text_of(row_id, 4, rows)),
    'topic', pg_temp.words(dataset_id, pg_temp.text_of(row_id, 5, rows))
) AS content;
INSERT INTO cell (dataset_id, row_id, column_id, text_id)
SELECT dataset_id, row_id, column_id, pg_temp.text_of(row_id, column_id, rows)
FROM row_plan INNER JOIN plan USING (dataset_id), generate_series(1, 5) AS column_id;

INSERT INTO encoder (name, revision, weights_hash, width, max_tokens, precision)
VALUES ('encoder', '1', pg_temp.digest('encoder'), 384, 256, 'float32');
-- Two versions of each task, each with a retrieval, a set and a run: `wanted` links each.
CREATE TEMPORARY TABLE version_plan AS
SELECT
    v AS task_version_id, (v + 1) / 2 AS task_id, 1 + (v + 1) % 2 AS version, (examples / runs)::integer AS wanted,
    -- The first teacher works for half of the versions, the last for one in twenty.
    width_bucket(v::double precision / runs, ARRAY[0, 0.5, 0.7, 0.85, 0.95]) AS teacher_id,
    1 + v % 4 AS prompt_id
FROM scale, generate_series(1, runs) AS v;
INSERT INTO task (task_id, name, settings) OVERRIDING SYSTEM VALUE
SELECT DISTINCT task_id, 'task-' || task_id, '{}'::jsonb FROM version_plan;
INSERT INTO task_version (
    task_version_id, task_id, version, instruction, retrieval_instruction, examples, retrieval_examples, reasoning, notes,
    content_hash
) OVERRIDING SYSTEM VALUE
SELECT task_version_id, task_id, version, 'Answer.', 'Answer.', '[]', '[]', false, '', pg_temp.digest('v' || task_version_id)
FROM version_plan;
INSERT INTO task_vector (task_version_id, encoder_id, input_mean, output_mean, instruction)
SELECT task_version_id, 1, ARRAY[1, 0]::real[], ARRAY[0, 1]::real[], ARRAY[1, 0]::real[] FROM version_plan;
INSERT INTO retrieval (
    retrieval_id, task_version_id, encoder_id, top_n, scoring, mirrors, state, attempt, finished_at, rows_scored,
    rows_entered, rows_kept, rows_displaced, mirrors_left_out, cutoff_score, retractions_seen
) OVERRIDING SYSTEM VALUE
SELECT
    task_version_id, task_version_id, 1, wanted, 'average-score', 'first', 'done', 1, clock_timestamp(), rows,
    wanted, 0, 0, wanted / 50, 0.3, 0
FROM version_plan, scale;
-- One link in ten is of a row that many tasks like; the others are spread over all rows.
INSERT INTO retrieval_link (
    link_id, task_version_id, encoder_id, dataset_id, row_id, input_column_id, output_column_id, input_score, output_score,
    dataset_score, score, rank, entered_by, state, attempt, finished_at, error, retracted_at
) OVERRIDING SYSTEM VALUE
SELECT
    row_number() OVER (ORDER BY task_version_id, rank), task_version_id, 1, dataset_id, row_id, 3, 1,
    0.9 - 0.5 * rank / wanted, 0.5, 0.4, 0.9 - 0.6 * rank / wanted, rank, task_version_id,
    CASE WHEN pg_temp.chance(rank + 1000003 * task_version_id, 3) < 0.05 THEN 'rejected' ELSE 'distilled' END,
    CASE WHEN pg_temp.chance(rank + 1000003 * task_version_id, 4) < 0.05 THEN 2 ELSE 1 END,
    clock_timestamp(),
    CASE
        WHEN pg_temp.chance(rank + 1000003 * task_version_id, 3) < 0.05 THEN 'near_duplicate: the example failed this check'
    END,
    CASE WHEN dataset_id = 3 AND row_id <= 500 THEN clock_timestamp() END
FROM (
    SELECT task_version_id, wanted, dataset_id, row_id, row_number() OVER (PARTITION BY task_version_id ORDER BY mixed) AS rank
    FROM (
        SELECT DISTINCT ON (task_version_id, number)
            task_version_id, wanted, dataset_id, (number - first + 1)::integer AS row_id, mixed
        FROM version_plan, scale, firsts, generate_series(1, wanted * 11 / 10 + 20) AS n,
        LATERAL (
            SELECT
                1 + floor(
                    CASE WHEN n % 10 = 0 THEN rows / 100.0 ELSE (SELECT sum(plan.rows) FROM plan)::float8 END
                    * pg_temp.chance(n + 1000003 * task_version_id, 1)
                )::bigint AS number,
                pg_temp.chance(n + 1000003 * task_version_id, 2) AS mixed
        ) AS chosen
        INNER JOIN LATERAL (SELECT width_bucket(number::double precision, firsts.firsts) AS dataset_id) AS home ON true
        INNER JOIN plan USING (dataset_id)
        ORDER BY task_version_id, number, mixed
    ) AS distinct_rows
) AS ranked
WHERE rank <= wanted;
INSERT INTO retrieval_mirror (retrieval_id, dataset_id, row_id, kept_link_id)
SELECT DISTINCT ON (entered_by, mirror.dataset_id, mirror.row_id) entered_by, mirror.dataset_id, mirror.row_id, link_id
FROM retrieval_link AS link
INNER JOIN source_row AS mirror ON mirror.row_id = link.row_id AND mirror.dataset_id = link.dataset_id + 1
WHERE link.row_id % 100 = 7
ORDER BY entered_by, mirror.dataset_id, mirror.row_id, link_id;

INSERT INTO teacher (provider, model, identity, content_hash)
SELECT 'openai', 'model-' || n, '{}'::jsonb, pg_temp.digest('teacher ' || n) FROM generate_series(1, 5) AS n;
INSERT INTO prompt (name, template, content_hash)
SELECT 'prompt-' || n, 'Rewrite.', pg_temp.digest('prompt ' || n) FROM generate_series(1, 4) AS n;
-- A link with two attempts has a call that failed first.
INSERT INTO generation (
    generation_id, link_id, attempt, teacher_id, prompt_id, worker_id, prompt_hash, raw_answer, prompt_tokens,
    completion_tokens, cost, latency_seconds, outcome, reason, reading
) OVERRIDING SYSTEM VALUE
SELECT
    row_number() OVER (ORDER BY link_id, n), link_id, n, teacher_id, prompt_id, 1, pg_temp.digest('asked ' || link_id),
    CASE WHEN n = attempt THEN '{"input": "Input ' || link_id || '", "output": "Output"}' END, 700, 60, 0.000142, 0.8,
    CASE WHEN n = attempt THEN 'parsed' ELSE 'error' END, CASE WHEN n < attempt THEN 'no answer' END,
    CASE WHEN n = attempt THEN 'strict' END
FROM retrieval_link INNER JOIN version_plan USING (task_version_id), generate_series(1, attempt) AS n;
INSERT INTO example (example_id, generation_id, link_id, input, output, content_hash) OVERRIDING SYSTEM VALUE
SELECT
    row_number() OVER (ORDER BY generation_id), generation_id, link_id,
    'Input ' || link_id || ', about as long as a sentence that somebody might ask.', 'Output ' || link_id % 3,
    pg_temp.digest('example ' || link_id)
FROM generation WHERE outcome = 'parsed';
-- One example in fifty has a parent; chains of ten, side by side with others.
INSERT INTO example_parent (example_id, parent_id)
SELECT example_id, example_id - 50 FROM example WHERE example_id % 50 = 0 AND example_id % 500 <> 0 AND example_id > 50;

INSERT INTO check_definition (name, parameters, content_hash)
SELECT name, '{"action": "reject"}'::jsonb, pg_temp.digest(name)
FROM unnest(ARRAY['label', 'length', 'copied_source', 'near_duplicate', 'judge']) AS name;
INSERT INTO judgement (
    judgement_id, example_id, teacher_id, prompt_id, worker_id, prompt_hash, raw_answer, latency_seconds, outcome, points
) OVERRIDING SYSTEM VALUE
SELECT row_number() OVER (ORDER BY example_id), example_id, 1, 4, 1, pg_temp.digest('judge'), '4', 0.4, 'judged', 4
FROM example WHERE example_id % 10 = 0;
INSERT INTO check_result (example_id, check_id, verdict, score, evidence, judgement_id)
SELECT
    example_id, check_id, CASE WHEN check_id = 4 AND state = 'rejected' THEN 'fail' ELSE 'pass' END, 0.5, '{}', judgement_id
FROM example
INNER JOIN retrieval_link USING (link_id)
INNER JOIN check_definition ON check_id < 5 OR example_id % 10 = 0
LEFT JOIN judgement USING (example_id);

INSERT INTO training_set (training_set_id, task_version_id, name, size, selection, manifest_hash) OVERRIDING SYSTEM VALUE
SELECT task_version_id, task_version_id, 'set-' || task_version_id, count(*), '{}', pg_temp.digest('set ' || task_version_id)
FROM retrieval_link WHERE state = 'distilled' GROUP BY task_version_id;
INSERT INTO training_set_member (training_set_id, position, example_id)
SELECT task_version_id, row_number() OVER (PARTITION BY task_version_id ORDER BY rank), example_id
FROM retrieval_link INNER JOIN example USING (link_id) WHERE state = 'distilled';
INSERT INTO training_set_mix (training_set_id, dataset_ids, examples)
SELECT training_set_id, dataset_ids, count(*)
FROM (
    SELECT training_set_id, array_agg(DISTINCT link.dataset_id ORDER BY link.dataset_id) AS dataset_ids
    FROM training_set
    CROSS JOIN LATERAL lineage.makers_of_set(training_set_id) AS makers
    INNER JOIN example ON example.example_id = makers.maker_id
    INNER JOIN retrieval_link AS link USING (link_id)
    GROUP BY training_set_id, makers.example_id
) AS mix
GROUP BY training_set_id, dataset_ids;
INSERT INTO training_run (
    training_run_id, training_set_id, student, base, base_revision, base_weights_hash, hyperparameters, seed, code_version,
    run_key, environment, artifact_path, artifact_hash, state, attempt, finished_at
) OVERRIDING SYSTEM VALUE
SELECT
    training_set_id, training_set_id, 'classifier', 'base', '1', pg_temp.digest('base'), '{}', 1, '0',
    pg_temp.digest('run ' || training_set_id), '{}', 'runs/' || training_set_id, pg_temp.digest('weights'), 'done', 1,
    clock_timestamp()
FROM training_set;
INSERT INTO benchmark (name, uri, content_hash)
SELECT 'benchmark-' || n, 'file:benchmark', pg_temp.digest('benchmark ' || n) FROM generate_series(1, 2) AS n;
INSERT INTO evaluation (training_run_id, benchmark_id, metric, value, low, high, majority, items)
SELECT training_run_id, benchmark_id, 'accuracy', 0.7, 0.6, 0.8, 0.4, 1000 FROM training_run, benchmark;

INSERT INTO publication (publication_id, task_id, name, form, uri, files, code_version) OVERRIDING SYSTEM VALUE
SELECT n, n, 'published-' || n, 'rebase', 'file:published', '{}', '0' FROM generate_series(1, 3) AS n;
INSERT INTO published_example (publication_id, position, input, output, content_hash)
SELECT publication_id, position, 'Input ' || position, 'Output', pg_temp.digest('published ' || position)
FROM publication, generate_series(1, 3000) AS position;
INSERT INTO published_rank (publication_id, rank, score, row_reference, dataset_id, row_id)
SELECT publication_id, position, 0.5, '{}', 1 + published_example_id % 3, 1 + published_example_id % 100
FROM published_example;
INSERT INTO likely_source (published_example_id, dataset_id, row_id, method, confidence, evidence)
SELECT published_example_id, 1 + published_example_id % 3, 1 + published_example_id % 100, 'words', 0.8, '{}'
FROM published_example;
INSERT INTO retraction (kind, target, reason, asked_by, code_version) VALUES ('row', 'dataset-3', 'a test', 'me', '0');
INSERT INTO retracted_row (retraction_id, dataset_id, row_id)
SELECT 1, dataset_id, row_id FROM source_row WHERE retracted_at IS NOT NULL;
