CREATE FUNCTION lineage.what_if(
    of_task text,
    top_n integer DEFAULT NULL,
    scoring text DEFAULT NULL,
    input_weight double precision DEFAULT NULL,
    output_weight double precision DEFAULT NULL,
    dataset_weight double precision DEFAULT NULL,
    max_share double precision DEFAULT NULL,
    mirrors text DEFAULT NULL,
    exclude_datasets text[] DEFAULT NULL,
    exclude_licences text[] DEFAULT NULL,
    include_datasets text[] DEFAULT NULL
)
RETURNS TABLE (
    rank integer,
    dataset text,
    licence text,
    config text,
    split text,
    source_index bigint,
    score double precision,
    present_rank integer,
    state text,
    example_id bigint,
    dataset_id integer,
    row_id integer
)
-- The same arithmetic in the same order as `rank_rows`, which a test holds it to.
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 3000 SET search_path = public SET jit = off AS $$
#variable_conflict use_column
DECLARE
    present record;
    asked record;
    excluded integer[];
    unmatched text;
    -- Globs as LIKE has them.
    left_out text[] := ARRAY(
        SELECT replace(replace(regexp_replace(name, '([\\%_])', '\\\1', 'g'), '*', '%'), '?', '_')
        FROM unnest(exclude_datasets) AS name
    );
    taken_back text[] := ARRAY(
        SELECT replace(replace(regexp_replace(name, '([\\%_])', '\\\1', 'g'), '*', '%'), '?', '_')
        FROM unnest(include_datasets) AS name
    );
BEGIN
    SELECT retrieval.* INTO present
    FROM retrieval
    INNER JOIN task_version USING (task_version_id)
    INNER JOIN task USING (task_id)
    WHERE task.name = of_task AND retrieval.state = 'done'
    ORDER BY task_version.version DESC, retrieval.retrieval_id DESC
    LIMIT 1;
    IF NOT found THEN
        RAISE EXCEPTION 'there is no ranking of a task %', quote_literal(of_task);
    END IF;

    SELECT
        coalesce(what_if.top_n, present.top_n) AS top_n,
        coalesce(what_if.scoring, present.scoring) AS scoring,
        coalesce(what_if.mirrors, present.mirrors) AS mirrors,
        coalesce(what_if.max_share, present.max_share, 1) AS max_share,
        coalesce(what_if.input_weight, present.weights[1], 1) AS of_input,
        coalesce(what_if.output_weight, present.weights[2], 1) AS of_output,
        coalesce(what_if.dataset_weight, present.weights[3], 1) AS of_dataset
    INTO asked;
    IF asked.top_n < 1 THEN
        RAISE EXCEPTION 'top_n is below 1';
    ELSIF asked.scoring NOT IN ('average-score', 'average-rank', 'max-rank') THEN
        RAISE EXCEPTION 'scoring is not average-score, average-rank or max-rank';
    ELSIF asked.mirrors NOT IN ('first', 'all') THEN
        RAISE EXCEPTION 'mirrors is not first or all';
    ELSIF NOT (asked.max_share > 0 AND asked.max_share <= 1) THEN
        RAISE EXCEPTION 'max_share is not above 0 and at most 1, which is no cap';
    ELSIF asked.scoring <> 'average-score'
        AND coalesce(what_if.input_weight, what_if.output_weight, what_if.dataset_weight) IS NOT NULL THEN
        RAISE EXCEPTION 'weights count in scoring average-score only';
    ELSIF NOT (least(asked.of_input, asked.of_output, asked.of_dataset) >= 0
        AND greatest(asked.of_input, asked.of_output, asked.of_dataset) <= 1000
        AND greatest(asked.of_input, asked.of_output, asked.of_dataset) > 0) THEN
        RAISE EXCEPTION 'weights are from 0 to 1000, and not all zero';
    END IF;

    SELECT given.name INTO unmatched
    FROM unnest(exclude_datasets || include_datasets, left_out || taken_back) AS given (name, pattern)
    WHERE NOT EXISTS (SELECT FROM dataset WHERE dataset.name LIKE given.pattern)
    LIMIT 1;
    IF found THEN
        RAISE EXCEPTION 'there is no dataset %', quote_literal(unmatched);
    END IF;
    SELECT given.name INTO unmatched
    FROM unnest(exclude_licences) AS given (name)
    WHERE NOT EXISTS (SELECT FROM dataset WHERE lower(coalesce(dataset.licence, 'unknown')) = lower(given.name))
    LIMIT 1;
    IF found THEN
        RAISE EXCEPTION 'no dataset states the licence %', quote_literal(unmatched);
    END IF;
    excluded := ARRAY(
        SELECT dataset.dataset_id
        FROM dataset
        WHERE
            (
                EXISTS (
                    SELECT
                    FROM retrieval_exclusion
                    WHERE
                        retrieval_exclusion.retrieval_id = present.retrieval_id
                        AND retrieval_exclusion.dataset_id = dataset.dataset_id
                )
                AND NOT dataset.name LIKE ANY(taken_back)
            )
            OR dataset.name LIKE ANY(left_out)
            OR lower(coalesce(dataset.licence, 'unknown')) = ANY(SELECT lower(name) FROM unnest(exclude_licences) AS name)
    );

    RETURN QUERY
    WITH part AS (
        SELECT
            row_score.dataset_id,
            part.row_id,
            source_row.content_hash,
            cast(part.input_score AS double precision) AS by_input,
            cast(part.output_score AS double precision) AS by_output,
            cast(row_score.dataset_score AS double precision) AS by_dataset
        FROM row_score
        CROSS JOIN LATERAL unnest(row_score.row_ids, row_score.input_scores, row_score.output_scores)
            AS part (row_id, input_score, output_score)
        INNER JOIN source_row ON source_row.dataset_id = row_score.dataset_id AND source_row.row_id = part.row_id
        WHERE
            row_score.task_version_id = present.task_version_id
            AND row_score.encoder_id = present.encoder_id
            AND row_score.dataset_id <> ALL(excluded)
            AND source_row.retracted_at IS NULL
            AND source_row.removed_at IS NULL
    ),

    averaged AS (
        SELECT
            part.*,
            (by_input + by_output + by_dataset) / 3 AS average,
            rank() OVER (ORDER BY by_input DESC) AS input_rank,
            rank() OVER (ORDER BY by_output DESC) AS output_rank
        FROM part
    ),

    scored AS (
        SELECT
            averaged.*,
            CASE
                WHEN asked.scoring = 'average-rank' THEN (input_rank + output_rank) / 2.0::double precision
                WHEN asked.scoring = 'max-rank' THEN greatest(input_rank, output_rank)
                WHEN asked.of_input = asked.of_output AND asked.of_output = asked.of_dataset THEN average
                ELSE
                    (asked.of_input * by_input + asked.of_output * by_output + asked.of_dataset * by_dataset)
                    / (asked.of_input + asked.of_output + asked.of_dataset)
            END AS score
        FROM averaged
    ),

    placed AS (
        SELECT
            scored.*,
            row_number() OVER (
                ORDER BY
                    CASE WHEN asked.scoring = 'average-score' THEN - score ELSE score END,
                    average DESC,
                    scored.dataset_id,
                    scored.row_id
            ) AS place
        FROM scored
    ),

    counted AS (
        SELECT placed.*, row_number() OVER (PARTITION BY content_hash ORDER BY place) AS copy
        FROM placed
    ),

    single AS (
        SELECT counted.*, row_number() OVER (PARTITION BY counted.dataset_id ORDER BY place) AS place_in_dataset
        FROM counted
        WHERE asked.mirrors = 'all' OR copy = 1
    ),

    chosen AS (
        SELECT single.*, row_number() OVER (ORDER BY place) AS new_rank
        FROM single
        WHERE
            asked.max_share = 1
            OR place_in_dataset <= greatest(1, floor(asked.max_share * asked.top_n + 1e-9::double precision))
    )

    SELECT
        cast(chosen.new_rank AS integer),
        dataset.name,
        coalesce(dataset.licence, 'unknown'),
        dataset_split.config,
        dataset_split.split,
        source_row.source_index,
        chosen.score,
        CASE WHEN link.displaced_by IS NULL THEN link.rank END,
        link.state,
        example.example_id,
        chosen.dataset_id,
        chosen.row_id
    FROM chosen
    INNER JOIN dataset USING (dataset_id)
    INNER JOIN source_row USING (dataset_id, row_id)
    INNER JOIN dataset_split USING (dataset_id, split_id)
    LEFT JOIN retrieval_link AS link
        ON link.task_version_id = present.task_version_id
        AND link.encoder_id = present.encoder_id
        AND link.dataset_id = chosen.dataset_id
        AND link.row_id = chosen.row_id
    LEFT JOIN generation ON generation.link_id = link.link_id AND generation.attempt = link.attempt
    LEFT JOIN example ON example.generation_id = generation.generation_id AND example.erased_by IS NULL
    WHERE chosen.new_rank <= asked.top_n
    ORDER BY chosen.new_rank;
END $$;

COMMENT ON FUNCTION lineage.what_if IS
'The ranking that a retrieval of a task''s newest ranked version would make now of the rows scored so far: one row a row
that makes the cut, best first, without a vector or a call. What is not given is as in the present ranking. Datasets are
names or globs with * and ?, licences as the datasets state them, unknown where they state none; those given are left out
besides those that are left out now, but for include_datasets. A max_share of 1 is no cap. present_rank is null for rows
that would enter; state and example_id are those of the row''s link, where it has or had one.';
