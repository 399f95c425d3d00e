CREATE FUNCTION lineage.describe(of_kind text, of_keys text[])
RETURNS TABLE (key text, reference text, description text)
-- Not the caller's: `lineage` has views of the names of tables.
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = public AS $$
#variable_conflict use_column
DECLARE
    numbers bigint[];
BEGIN
    IF of_kind NOT IN ('licence', 'load', 'row') THEN
        numbers := CAST(of_keys AS bigint[]);
    END IF;
    CASE of_kind
    WHEN 'licence' THEN RETURN QUERY
        SELECT stated.licence, 'licence:' || stated.licence, '' FROM unnest(of_keys) AS stated (licence);
    WHEN 'dataset' THEN RETURN QUERY
        SELECT CAST(dataset_id AS text), 'dataset:' || name, coalesce(licence, 'licence unknown')
        FROM dataset WHERE dataset_id = ANY(numbers);
    WHEN 'load' THEN RETURN QUERY
        SELECT start.key, 'load:' || dataset.name || ':' || ingest.ingest_id,
            to_char(ingest.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
        FROM unnest(of_keys) AS start (key)
        INNER JOIN ingest
            ON ingest.dataset_id = CAST(split_part(start.key, '/', 1) AS bigint)
            AND ingest.ingest_id = CAST(split_part(start.key, '/', 2) AS bigint)
        INNER JOIN dataset ON dataset.dataset_id = ingest.dataset_id;
    WHEN 'row' THEN RETURN QUERY
        SELECT start.key,
            concat(
                'row:', dataset.name, ':', dataset_split.config, '/', dataset_split.split, ':', source_row.source_index,
                -- Where a later load brought another row to its place, that one goes by the place alone.
                CASE WHEN EXISTS (
                    SELECT FROM source_row AS later
                    WHERE
                        later.dataset_id = source_row.dataset_id
                        AND later.split_id = source_row.split_id
                        AND later.source_index = source_row.source_index
                        AND later.ingest_id > source_row.ingest_id
                ) THEN '@' || source_row.ingest_id END
            ),
            concat_ws(
                ', ',
                CASE WHEN source_row.removed_at IS NOT NULL THEN 'removed' END,
                CASE WHEN source_row.retracted_at IS NOT NULL THEN 'retracted' END,
                CASE WHEN source_row.erased_by IS NOT NULL THEN 'erased' END
            )
        FROM unnest(of_keys) AS start (key)
        INNER JOIN source_row
            ON source_row.dataset_id = CAST(split_part(start.key, '/', 1) AS bigint)
            AND source_row.row_id = CAST(split_part(start.key, '/', 2) AS bigint)
        INNER JOIN dataset ON dataset.dataset_id = source_row.dataset_id
        INNER JOIN dataset_split
            ON dataset_split.dataset_id = source_row.dataset_id AND dataset_split.split_id = source_row.split_id;
    WHEN 'task' THEN RETURN QUERY
        SELECT CAST(task_id AS text), 'task:' || name, '' FROM task WHERE task_id = ANY(numbers);
    WHEN 'encoder' THEN RETURN QUERY
        SELECT CAST(encoder_id AS text), 'encoder:' || encoder_id, concat_ws(
                ', ', name,
                -- A commit is told by its beginning, the name of a revision only by all of it.
                'revision ' || CASE WHEN revision ~ '^[0-9a-f]{40,}$' THEN left(revision, 12) ELSE revision END
            )
        FROM encoder WHERE encoder_id = ANY(numbers);
    WHEN 'retrieval' THEN RETURN QUERY
        SELECT CAST(retrieval_id AS text), 'retrieval:' || retrieval_id,
            concat('top ', top_n, ' by ', scoring, ', version ', version, CASE WHEN state <> 'done' THEN ', ' || state END)
        FROM retrieval INNER JOIN task_version USING (task_version_id) WHERE retrieval_id = ANY(numbers);
    WHEN 'link' THEN RETURN QUERY
        SELECT CAST(link_id AS text), 'link:' || link_id,
            concat_ws(
                ', ',
                CASE WHEN retracted_at IS NOT NULL THEN 'retracted' END,
                CASE WHEN displaced_by IS NOT NULL THEN 'displaced' END,
                state,
                concat('rank ', rank, ' for ', task.name),
                -- By way of float, since a cast of real to numeric rounds to six digits first.
                concat('input ', round(CAST(CAST(input_score AS float) AS numeric), 3), ' by ', input_column.name),
                concat('output ', round(CAST(CAST(output_score AS float) AS numeric), 3), ' by ', output_column.name)
            )
        FROM retrieval_link AS link
        INNER JOIN task_version USING (task_version_id)
        INNER JOIN task USING (task_id)
        INNER JOIN dataset_column AS input_column
            ON input_column.dataset_id = link.dataset_id AND input_column.column_id = link.input_column_id
        INNER JOIN dataset_column AS output_column
            ON output_column.dataset_id = link.dataset_id AND output_column.column_id = link.output_column_id
        WHERE link_id = ANY(numbers);
    WHEN 'teacher' THEN RETURN QUERY
        SELECT CAST(teacher_id AS text), 'teacher:' || teacher_id, concat_ws(' ', provider, nullif(model, ''))
        FROM teacher WHERE teacher_id = ANY(numbers);
    WHEN 'prompt' THEN RETURN QUERY
        SELECT CAST(prompt_id AS text), 'prompt:' || prompt_id, name FROM prompt WHERE prompt_id = ANY(numbers);
    WHEN 'call' THEN RETURN QUERY
        SELECT CAST(generation_id AS text), 'call:' || generation_id,
            concat(
                CASE WHEN erased_by IS NOT NULL THEN 'erased, ' END,
                'attempt ', attempt, ', ', outcome, CASE WHEN outcome <> 'parsed' THEN ': ' || left(reason, 80) END
            )
        FROM generation WHERE generation_id = ANY(numbers);
    WHEN 'example' THEN RETURN QUERY
        SELECT CAST(example_id AS text), 'example:' || example_id,
            concat(
                concat_ws(
                    ', ',
                    CASE WHEN link.retracted_at IS NOT NULL THEN 'retracted' END,
                    CASE WHEN example.erased_by IS NOT NULL THEN 'erased' END,
                    CASE WHEN link.displaced_by IS NOT NULL THEN 'displaced' END,
                    CASE
                        WHEN generation.attempt < link.attempt THEN 'superseded'
                        WHEN link.state = 'rejected' THEN 'kept out by ' || split_part(link.error, ':', 1)
                        WHEN link.state NOT IN ('transformed', 'distilled') THEN 'asked for again'
                        -- What is withdrawn or left out is accepted no more.
                        WHEN link.retracted_at IS NULL AND link.displaced_by IS NULL AND example.erased_by IS NULL THEN 'accepted'
                    END
                ),
                CASE
                    WHEN example.erased_by IS NULL THEN concat(
                        ': ', left(input, 60), CASE WHEN length(input) > 60 THEN '…' END,
                        ' → ', left(output, 40), CASE WHEN length(output) > 40 THEN '…' END
                    )
                END
            )
        FROM example
        INNER JOIN generation USING (generation_id)
        INNER JOIN retrieval_link AS link ON link.link_id = example.link_id
        WHERE example_id = ANY(numbers);
    WHEN 'judgement' THEN RETURN QUERY
        SELECT CAST(judgement_id AS text), 'judgement:' || judgement_id,
            concat(
                CASE WHEN erased_by IS NOT NULL THEN 'erased, ' END,
                CASE WHEN points IS NULL THEN outcome || ': ' || left(reason, 80) ELSE points || ' of 5 points' END
            )
        FROM judgement WHERE judgement_id = ANY(numbers);
    WHEN 'set' THEN RETURN QUERY
        SELECT
            CAST(made.training_set_id AS text), 'set:' || made.name,
            concat(made.size, ' example', CASE WHEN made.size <> 1 THEN 's' END, ', successor of set:' || before.name)
        FROM training_set AS made
        LEFT JOIN training_set AS before ON before.training_set_id = made.successor_of
        WHERE made.training_set_id = ANY(numbers);
    WHEN 'run' THEN RETURN QUERY
        SELECT CAST(training_run_id AS text), 'run:' || training_run_id, concat_ws(', ', state, student, base)
        FROM training_run WHERE training_run_id = ANY(numbers);
    WHEN 'benchmark' THEN RETURN QUERY
        SELECT CAST(benchmark_id AS text), 'benchmark:' || benchmark_id, name
        FROM benchmark WHERE benchmark_id = ANY(numbers);
    WHEN 'evaluation' THEN RETURN QUERY
        SELECT CAST(evaluation_id AS text), 'evaluation:' || evaluation_id,
            concat(metric, ' ', round(CAST(value AS numeric), 3), ' on ', benchmark.name)
        FROM evaluation INNER JOIN benchmark USING (benchmark_id) WHERE evaluation_id = ANY(numbers);
    WHEN 'publication' THEN RETURN QUERY
        SELECT CAST(publication_id AS text), 'publication:' || name, 'published by others'
        FROM publication WHERE publication_id = ANY(numbers);
    WHEN 'published' THEN RETURN QUERY
        SELECT CAST(published_example_id AS text), 'published:' || published_example_id,
            concat(
                'place ', position, ': ', left(input, 60), CASE WHEN length(input) > 60 THEN '…' END,
                ' → ', left(output, 40), CASE WHEN length(output) > 40 THEN '…' END
            )
        FROM published_example WHERE published_example_id = ANY(numbers);
    WHEN 'retraction' THEN RETURN QUERY
        SELECT CAST(retraction_id AS text), 'retraction:' || retraction_id,
            concat(
                CASE WHEN undone_at IS NOT NULL THEN 'undone, ' END, CASE WHEN erased_at IS NOT NULL THEN 'erased, ' END,
                kind, ' ', target, ': ', reason
            )
        FROM retraction WHERE retraction_id = ANY(numbers);
    ELSE
        RAISE EXCEPTION 'there is no kind of record %', of_kind USING ERRCODE = 'invalid_parameter_value';
    END CASE;
END $$;

COMMENT ON FUNCTION lineage.describe IS
'What records of a kind are called, as commands take it, and a few words on each. A key is the number of the record as
text; of a row it is dataset_id/row_id, of a load dataset_id/ingest_id, of a licence its text.';
