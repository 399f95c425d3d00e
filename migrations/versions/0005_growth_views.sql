-- The schema `lineage` as of this revision: its views and functions for auditors, with their comments.
CREATE SCHEMA lineage;

COMMENT ON SCHEMA lineage IS
'Lineage for auditors: views of one row a fact, and functions. What a row is, each view''s comment says.';

CREATE FUNCTION lineage.ancestors_of(of_example bigint)
RETURNS TABLE (ancestor_id bigint, depth integer)
-- STRICT keeps it from being inlined: the planner then goes by ROWS instead of by its guess for a recursion.
LANGUAGE sql STABLE STRICT PARALLEL SAFE ROWS 5
BEGIN ATOMIC
    WITH RECURSIVE above (example_id, depth) AS (
        SELECT parent_id, 1 FROM example_parent WHERE example_parent.example_id = of_example
        UNION
        SELECT example_parent.parent_id, above.depth + 1
        FROM above
        INNER JOIN example_parent ON example_parent.example_id = above.example_id
    )

    SELECT above.example_id, min(above.depth) FROM above GROUP BY above.example_id;
END;

COMMENT ON FUNCTION lineage.ancestors_of IS
'The earlier examples that an example was made from, directly or through others: one row an ancestor, with the number of
steps of the shortest way to it.';

CREATE FUNCTION lineage.descendants_of(of_example bigint)
RETURNS TABLE (descendant_id bigint, depth integer)
LANGUAGE sql STABLE STRICT PARALLEL SAFE ROWS 5
BEGIN ATOMIC
    WITH RECURSIVE below (example_id, depth) AS (
        SELECT example_parent.example_id, 1 FROM example_parent WHERE example_parent.parent_id = of_example
        UNION
        SELECT example_parent.example_id, below.depth + 1
        FROM below
        INNER JOIN example_parent ON example_parent.parent_id = below.example_id
    )

    SELECT below.example_id, min(below.depth) FROM below GROUP BY below.example_id;
END;

COMMENT ON FUNCTION lineage.descendants_of IS
'The later examples that were made from an example, directly or through others: one row a descendant, with the number of
steps of the shortest way to it.';

CREATE FUNCTION lineage.makers_of_set(of_set integer)
RETURNS TABLE (place integer, example_id bigint, maker_id bigint)
LANGUAGE sql STABLE STRICT PARALLEL SAFE ROWS 10000
BEGIN ATOMIC
    WITH RECURSIVE ancestry AS (
        SELECT member.position AS place, member.example_id, member.example_id AS maker_id
        FROM training_set_member AS member
        WHERE member.training_set_id = of_set
        UNION
        SELECT ancestry.place, ancestry.example_id, example_parent.parent_id
        FROM ancestry
        INNER JOIN example_parent ON example_parent.example_id = ancestry.maker_id
    )

    SELECT ancestry.place, ancestry.example_id, ancestry.maker_id FROM ancestry;
END;

COMMENT ON FUNCTION lineage.makers_of_set IS
'The examples that the members of a training set were made from, directly or through others, and each member itself: one
row a member and maker, with the place that the member has in the set.';

CREATE VIEW lineage.source_row AS
SELECT
    source_row.dataset_id,
    source_row.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    source_row.source_key,
    dataset.licence,
    dataset_split.uri,
    ingest_split.revision,
    source_row.ingest_id,
    ingest.created_at AS loaded_at,
    source_row.content,
    encode(source_row.content_hash, 'hex') AS row_hash,
    source_row.retracted_at,
    source_row.erased_by,
    source_row.removed_at,
    removed_row.ingest_id AS removed_by,
    became.row_id AS became,
    changed_row.previous_row_id AS previous
FROM source_row
INNER JOIN dataset USING (dataset_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
INNER JOIN ingest USING (dataset_id, ingest_id)
INNER JOIN ingest_split USING (dataset_id, ingest_id, split_id)
LEFT JOIN changed_row USING (dataset_id, row_id)
LEFT JOIN removed_row ON removed_row.dataset_id = source_row.dataset_id AND removed_row.row_id = source_row.row_id
LEFT JOIN changed_row AS became
    ON became.dataset_id = source_row.dataset_id AND became.previous_row_id = source_row.row_id;

COMMENT ON VIEW lineage.source_row IS 'One row a source row: where it stands at its source, and what it says.';
COMMENT ON COLUMN lineage.source_row.row_id IS 'its number in our dataset; its place at its source is source_index';
COMMENT ON COLUMN lineage.source_row.source_index IS 'its place in its split at the source, from 0';
COMMENT ON COLUMN lineage.source_row.source_key IS 'the key its source gives it, if any';
COMMENT ON COLUMN lineage.source_row.licence IS 'as its dataset was loaded with; null is unknown';
COMMENT ON COLUMN lineage.source_row.revision IS 'SHA-256 of the file it was read from, or commit of a hub dataset';
COMMENT ON COLUMN lineage.source_row.ingest_id IS 'the load that brought it, counted by dataset';
COMMENT ON COLUMN lineage.source_row.content IS
'each column that has a value, with its text; erased, its SHA-256 in hex';
COMMENT ON COLUMN lineage.source_row.row_hash IS 'SHA-256 over the content, in hex; equal for mirrors';
COMMENT ON COLUMN lineage.source_row.retracted_at IS 'since when a retraction that stands covers it';
COMMENT ON COLUMN lineage.source_row.erased_by IS 'the retraction under which its words were erased';
COMMENT ON COLUMN lineage.source_row.removed_at IS 'since when its source has it no more, or with other content';
COMMENT ON COLUMN lineage.source_row.removed_by IS 'the load that found it so';
COMMENT ON COLUMN lineage.source_row.became IS 'the row it has become, if its content changed';
COMMENT ON COLUMN lineage.source_row.previous IS 'the row it was before its content changed';

CREATE VIEW lineage.mirror AS
SELECT
    one.dataset_id,
    one.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    one.source_index,
    dataset.licence,
    other.dataset_id AS mirror_dataset_id,
    other.row_id AS mirror_row_id,
    other_dataset.name AS mirror_dataset,
    other_split.config AS mirror_config,
    other_split.split AS mirror_split,
    other.source_index AS mirror_source_index,
    other_dataset.licence AS mirror_licence,
    encode(one.content_hash, 'hex') AS row_hash
FROM source_row AS one
INNER JOIN source_row AS other
    ON other.content_hash = one.content_hash AND (other.dataset_id, other.row_id) <> (one.dataset_id, one.row_id)
INNER JOIN dataset ON dataset.dataset_id = one.dataset_id
INNER JOIN dataset_split ON dataset_split.dataset_id = one.dataset_id AND dataset_split.split_id = one.split_id
INNER JOIN dataset AS other_dataset ON other_dataset.dataset_id = other.dataset_id
INNER JOIN dataset_split AS other_split
    ON other_split.dataset_id = other.dataset_id AND other_split.split_id = other.split_id;

COMMENT ON VIEW lineage.mirror IS
'One row a source row and another row with exactly its content, in the same dataset or another one.';

CREATE VIEW lineage.load AS
SELECT
    ingest.dataset_id,
    ingest.ingest_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    dataset_split.uri,
    ingest_split.revision,
    ingest.match_by,
    ingest_split.rows_added - coalesce(went.changed, 0) AS rows_added,
    coalesce(went.changed, 0) AS rows_changed,
    coalesce(went.removed, 0) AS rows_removed,
    ingest_split.rows_unchanged,
    ingest_split.rows_rejected,
    ingest_split.max_rows,
    ingest_split.rows_in_source,
    ingest.code_version,
    ingest.created_at AS loaded_at
FROM ingest_split
INNER JOIN ingest USING (dataset_id, ingest_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
LEFT JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE changed_row.row_id IS NOT NULL) AS changed,
        count(*) FILTER (WHERE changed_row.row_id IS NULL) AS removed
    FROM removed_row
    INNER JOIN source_row USING (dataset_id, row_id)
    LEFT JOIN changed_row
        ON changed_row.dataset_id = removed_row.dataset_id AND changed_row.previous_row_id = removed_row.row_id
    WHERE
        removed_row.dataset_id = ingest_split.dataset_id
        AND removed_row.ingest_id = ingest_split.ingest_id
        AND source_row.split_id = ingest_split.split_id
) AS went ON true;

COMMENT ON VIEW lineage.load IS 'One row a load and a split that it read.';
COMMENT ON COLUMN lineage.load.ingest_id IS 'the load, counted by dataset';
COMMENT ON COLUMN lineage.load.revision IS 'SHA-256 of the file read, or commit of a hub dataset';
COMMENT ON COLUMN lineage.load.match_by IS
'how its rows were matched with those that were there: content, index, or key with a colon and the column';
COMMENT ON COLUMN lineage.load.rows_added IS 'new rows, without those that changed';
COMMENT ON COLUMN lineage.load.rows_changed IS 'rows whose content changed: new ones, each for one that is removed';
COMMENT ON COLUMN lineage.load.rows_removed IS 'rows that its source had no more, without those that changed';
COMMENT ON COLUMN lineage.load.rows_unchanged IS 'rows that an earlier load had brought already';
COMMENT ON COLUMN lineage.load.max_rows IS 'how many rows it was told to take at most';
COMMENT ON COLUMN lineage.load.rows_in_source IS 'null where its reader cannot tell';

CREATE VIEW lineage.link AS
SELECT
    link.link_id,
    task.name AS task,
    task_version.version AS task_version,
    encoder.name AS encoder,
    link.dataset_id,
    link.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    link.rank,
    link.score,
    link.input_score,
    input_column.name AS input_column,
    link.output_score,
    output_column.name AS output_column,
    link.dataset_score,
    link.state,
    link.error,
    link.entered_by,
    link.displaced_by,
    link.retracted_at,
    link.finished_at
FROM retrieval_link AS link
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
INNER JOIN encoder USING (encoder_id)
INNER JOIN dataset_column AS input_column
    ON input_column.dataset_id = link.dataset_id AND input_column.column_id = link.input_column_id
INNER JOIN dataset_column AS output_column
    ON output_column.dataset_id = link.dataset_id AND output_column.column_id = link.output_column_id;

COMMENT ON VIEW lineage.link IS 'One row a source row that made the cut for a version of a task, under an encoder.';
COMMENT ON COLUMN lineage.link.rank IS 'its place in the newest ranking it was part of, and score its score there';
COMMENT ON COLUMN lineage.link.input_score IS 'cosine of the task''s inputs and the text in input_column';
COMMENT ON COLUMN lineage.link.output_score IS 'cosine of the task''s outputs and the text in output_column';
COMMENT ON COLUMN lineage.link.dataset_score IS 'cosine of the instruction and the dataset''s description';
COMMENT ON COLUMN lineage.link.state IS
'retrieved, transforming, transformed (an example is accepted), distilled (and a finished run used it), rejected, failed
or cancelled';
COMMENT ON COLUMN lineage.link.error IS 'why it was rejected or has failed';
COMMENT ON COLUMN lineage.link.entered_by IS 'the retrieval that let it in';
COMMENT ON COLUMN lineage.link.displaced_by IS 'the retrieval that left it out again, if one did';

CREATE VIEW lineage.call AS
SELECT
    generation.generation_id,
    generation.link_id,
    generation.attempt,
    example.example_id,
    task.name AS task,
    task_version.version AS task_version,
    dataset.name AS dataset,
    link.dataset_id,
    link.row_id,
    generation.teacher_id,
    teacher.provider,
    teacher.model,
    generation.prompt_id,
    prompt.name AS prompt,
    encode(generation.prompt_hash, 'hex') AS prompt_hash,
    generation.outcome,
    generation.reason,
    generation.reading,
    generation.cuts,
    coalesce(generation.raw_answer, asked.raw_answer) AS raw_answer,
    generation.reused_from,
    generation.finish_reason,
    generation.prompt_tokens,
    generation.completion_tokens,
    generation.cost,
    generation.latency_seconds,
    generation.requests,
    generation.maybe_billed,
    worker.code_version,
    generation.created_at,
    generation.erased_by
FROM generation
-- Early, so that the planner can start with it: it leaves alone what comes after the eighth table.
LEFT JOIN example ON example.generation_id = generation.generation_id
INNER JOIN retrieval_link AS link ON link.link_id = generation.link_id
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN teacher USING (teacher_id)
INNER JOIN prompt USING (prompt_id)
INNER JOIN worker ON worker.worker_id = generation.worker_id
-- The call that was paid, where its answer was used again.
LEFT JOIN generation AS asked ON asked.generation_id = generation.reused_from;

COMMENT ON VIEW lineage.call IS 'One row a call of a teacher for a source row, also one that failed.';
COMMENT ON COLUMN lineage.call.example_id IS 'what came of it; null where the answer was no example';
COMMENT ON COLUMN lineage.call.prompt IS 'name of the template';
COMMENT ON COLUMN lineage.call.prompt_hash IS 'SHA-256 of the prompt as it was sent, in hex';
COMMENT ON COLUMN lineage.call.outcome IS 'parsed, rejected (an answer that was no example) or error (no answer)';
COMMENT ON COLUMN lineage.call.reason IS 'why there is no example: a name, a colon, what was seen';
COMMENT ON COLUMN lineage.call.reading IS 'how the example was found in the answer';
COMMENT ON COLUMN lineage.call.cuts IS 'cells shortened for the prompt: characters kept and characters there';
COMMENT ON COLUMN lineage.call.reused_from IS
'the call whose answer was used again; tokens and cost stand there only';
COMMENT ON COLUMN lineage.call.cost IS 'null where the teacher has no prices, or nothing was sent';
COMMENT ON COLUMN lineage.call.maybe_billed IS 'nobody knows whether the server did the work';

CREATE VIEW lineage.example AS
SELECT
    example.example_id,
    task.name AS task,
    task_version.version AS task_version,
    example.input,
    example.output,
    example.rationale,
    encode(example.content_hash, 'hex') AS example_hash,
    example.created_at,
    example.generation_id,
    generation.teacher_id,
    generation.prompt_id,
    example.link_id,
    link.dataset_id,
    link.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    dataset.licence,
    link.rank,
    link.state,
    link.error,
    generation.attempt < link.attempt AS superseded,
    link.displaced_by IS NOT NULL AS displaced,
    link.retracted_at,
    example.erased_by
FROM example
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN generation USING (generation_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id);

COMMENT ON VIEW lineage.example IS
'One row an example, with the row it was made from; rows of its parents are in example_source.';
COMMENT ON COLUMN lineage.example.example_hash IS 'SHA-256 over input, output and rationale, in hex';
COMMENT ON COLUMN lineage.example.source_index IS 'the row''s place in its split at the source, from 0';
COMMENT ON COLUMN lineage.example.state IS 'as of lineage.link: rejected where a check keeps the example out';
COMMENT ON COLUMN lineage.example.superseded IS 'a later attempt at the same row took its place';
COMMENT ON COLUMN lineage.example.displaced IS 'a newer retrieval left the row out';
COMMENT ON COLUMN lineage.example.retracted_at IS 'since when a retraction that stands covers the row';
COMMENT ON COLUMN lineage.example.erased_by IS 'the retraction under which its words were erased';

CREATE VIEW lineage.judge_call AS
SELECT
    judgement.judgement_id,
    judgement.example_id,
    task.name AS task,
    task_version.version AS task_version,
    judgement.teacher_id,
    teacher.provider,
    teacher.model,
    judgement.prompt_id,
    prompt.name AS prompt,
    encode(judgement.prompt_hash, 'hex') AS prompt_hash,
    judgement.outcome,
    judgement.points,
    judgement.reason,
    judgement.raw_answer,
    judgement.prompt_tokens,
    judgement.completion_tokens,
    judgement.cost,
    judgement.maybe_billed,
    judgement.created_at,
    judgement.erased_by
FROM judgement
INNER JOIN example USING (example_id)
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
INNER JOIN teacher ON teacher.teacher_id = judgement.teacher_id
INNER JOIN prompt ON prompt.prompt_id = judgement.prompt_id;

COMMENT ON VIEW lineage.judge_call IS 'One row a call of a judge for an example, also one that failed.';
COMMENT ON COLUMN lineage.judge_call.points IS 'from 1 (does not fit the task) to 5 (fits)';

CREATE VIEW lineage.check_verdict AS
SELECT DISTINCT ON (result.example_id, definition.name)
    result.example_id,
    definition.name AS check_name,
    result.verdict,
    result.score,
    result.evidence,
    result.other_example_id,
    result.judgement_id,
    definition.parameters,
    result.created_at AS checked_at,
    result.erased_by
FROM check_result AS result
INNER JOIN check_definition AS definition USING (check_id)
ORDER BY result.example_id, definition.name, result.check_result_id DESC;

COMMENT ON VIEW lineage.check_verdict IS 'One row an example and a check: what the check said of it last.';
COMMENT ON COLUMN lineage.check_verdict.verdict IS
'pass, warn or fail; that the example is kept out for it is the state of its link';
COMMENT ON COLUMN lineage.check_verdict.evidence IS 'what was seen';
COMMENT ON COLUMN lineage.check_verdict.other_example_id IS 'the example that is repeated';
COMMENT ON COLUMN lineage.check_verdict.judgement_id IS 'the judge''s call that gave the score';
COMMENT ON COLUMN lineage.check_verdict.parameters IS 'version, thresholds and action it was checked with';

-- Read from the example; lineage.row_example has the same facts, read from the row.
CREATE VIEW lineage.example_source AS
SELECT
    example.example_id,
    CAST('own' AS text) AS kind,
    0 AS depth,
    example.example_id AS via_example_id,
    link.dataset_id,
    link.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    ingest_split.revision,
    dataset.licence,
    encode(source_row.content_hash, 'hex') AS row_hash,
    source_row.retracted_at
FROM example
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
INNER JOIN ingest_split USING (dataset_id, ingest_id, split_id)
UNION ALL
SELECT
    made.example_id,
    'parent' AS kind,
    above.depth,
    above.ancestor_id AS via_example_id,
    link.dataset_id,
    link.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    ingest_split.revision,
    dataset.licence,
    encode(source_row.content_hash, 'hex') AS row_hash,
    source_row.retracted_at
FROM example AS made
CROSS JOIN LATERAL lineage.ancestors_of(made.example_id) AS above
INNER JOIN example ON example.example_id = above.ancestor_id
INNER JOIN retrieval_link AS link ON link.link_id = example.link_id
INNER JOIN dataset USING (dataset_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
INNER JOIN ingest_split USING (dataset_id, ingest_id, split_id)
WHERE EXISTS (SELECT FROM example_parent WHERE example_parent.example_id = made.example_id);

COMMENT ON VIEW lineage.example_source IS
'One row an example and an example it rests on, which is itself or an earlier one it was made from: the row of that one.
Ask it by example; by row or dataset ask row_example.';
COMMENT ON COLUMN lineage.example_source.kind IS
'own: the row the example was made from; parent: the row of an earlier example';
COMMENT ON COLUMN lineage.example_source.depth IS 'steps to that earlier example; 0 for the own row';
COMMENT ON COLUMN lineage.example_source.via_example_id IS 'the example that was made from the row';
COMMENT ON COLUMN lineage.example_source.retracted_at IS 'since when a retraction that stands covers the row';

-- Read from the row; lineage.example_source has the same facts, read from the example.
CREATE VIEW lineage.row_example AS
SELECT
    link.dataset_id,
    link.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    dataset.licence,
    source_row.retracted_at,
    link.link_id,
    example.example_id AS via_example_id,
    example.example_id,
    CAST('own' AS text) AS kind,
    0 AS depth
FROM dataset
INNER JOIN dataset_split USING (dataset_id)
INNER JOIN source_row USING (dataset_id, split_id)
INNER JOIN retrieval_link AS link USING (dataset_id, row_id)
INNER JOIN example USING (link_id)
UNION ALL
SELECT
    link.dataset_id,
    link.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    dataset.licence,
    source_row.retracted_at,
    link.link_id,
    example.example_id AS via_example_id,
    below.descendant_id AS example_id,
    'parent' AS kind,
    below.depth
FROM dataset
INNER JOIN dataset_split USING (dataset_id)
INNER JOIN source_row USING (dataset_id, split_id)
INNER JOIN retrieval_link AS link USING (dataset_id, row_id)
INNER JOIN example USING (link_id)
CROSS JOIN LATERAL lineage.descendants_of(example.example_id) AS below
WHERE EXISTS (SELECT FROM example_parent WHERE example_parent.parent_id = example.example_id);

COMMENT ON VIEW lineage.row_example IS
'One row an example made from a source row and an example it reached, which is itself or a later one made from it.
Ask it by row, dataset or licence; by example ask example_source.';
COMMENT ON COLUMN lineage.row_example.via_example_id IS 'the example that was made from the row';
COMMENT ON COLUMN lineage.row_example.kind IS 'own: example_id was made from the row; parent: from an example that was';
COMMENT ON COLUMN lineage.row_example.depth IS 'steps from via_example_id to example_id; 0 where they are the same';
COMMENT ON COLUMN lineage.row_example.retracted_at IS 'since when a retraction that stands covers the row';

-- As lineage.row_example without the row's place, so that a whole dataset is counted without reading its rows.
CREATE VIEW lineage.dataset_example AS
SELECT
    dataset.dataset_id,
    dataset.name AS dataset,
    dataset.licence,
    link.row_id,
    link.retracted_at,
    example.example_id AS via_example_id,
    example.example_id,
    0 AS depth
FROM dataset
INNER JOIN retrieval_link AS link USING (dataset_id)
INNER JOIN example USING (link_id)
UNION ALL
SELECT
    dataset.dataset_id,
    dataset.name AS dataset,
    dataset.licence,
    link.row_id,
    link.retracted_at,
    example.example_id AS via_example_id,
    below.descendant_id AS example_id,
    below.depth
FROM dataset
INNER JOIN retrieval_link AS link USING (dataset_id)
INNER JOIN example USING (link_id)
CROSS JOIN LATERAL lineage.descendants_of(example.example_id) AS below
WHERE EXISTS (SELECT FROM example_parent WHERE example_parent.parent_id = example.example_id);

COMMENT ON VIEW lineage.dataset_example IS
'As row_example, without the row''s place at its source: to count what came of a whole dataset or licence.';
COMMENT ON COLUMN lineage.dataset_example.via_example_id IS 'the example that was made from the row';
COMMENT ON COLUMN lineage.dataset_example.depth IS 'steps from via_example_id to example_id; 0 where they are the same';
COMMENT ON COLUMN lineage.dataset_example.retracted_at IS 'since when a retraction that stands covers the row';

CREATE VIEW lineage.training_set AS
SELECT
    training_set.training_set_id,
    training_set.name AS training_set,
    task.name AS task,
    task_version.version AS task_version,
    training_set.size,
    training_set.selection,
    encode(training_set.manifest_hash, 'hex') AS manifest_hash,
    predecessor.name AS successor_of,
    training_set.created_at
FROM training_set
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
LEFT JOIN training_set AS predecessor ON predecessor.training_set_id = training_set.successor_of;

COMMENT ON VIEW lineage.training_set IS 'One row a frozen training set.';
COMMENT ON COLUMN lineage.training_set.size IS 'number of its examples';
COMMENT ON COLUMN lineage.training_set.manifest_hash IS
'SHA-256 over the hashes of the task version and of its examples in order, in hex';
COMMENT ON COLUMN lineage.training_set.successor_of IS
'the set that this one repeats without what had been retracted since';

CREATE VIEW lineage.set_member AS
SELECT
    training_set.training_set_id,
    training_set.name AS training_set,
    member.position,
    example.example_id,
    example.input,
    example.output,
    example.rationale,
    encode(example.content_hash, 'hex') AS example_hash,
    link.dataset_id,
    link.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    ingest_split.revision,
    dataset.licence,
    encode(source_row.content_hash, 'hex') AS row_hash,
    link.retracted_at
FROM training_set
INNER JOIN training_set_member AS member USING (training_set_id)
INNER JOIN example USING (example_id)
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
INNER JOIN ingest_split USING (dataset_id, ingest_id, split_id);

COMMENT ON VIEW lineage.set_member IS
'One row a place in a training set: its example, and the row that was made from; rows of its parents are in
example_source.';
COMMENT ON COLUMN lineage.set_member.position IS 'from 1';
COMMENT ON COLUMN lineage.set_member.retracted_at IS 'since when a retraction that stands covers the row';

CREATE VIEW lineage.row_set AS
SELECT
    reached.dataset_id,
    reached.row_id,
    reached.dataset,
    reached.config,
    reached.split,
    reached.source_index,
    reached.licence,
    reached.retracted_at,
    reached.via_example_id,
    reached.example_id,
    reached.kind,
    reached.depth,
    training_set.training_set_id,
    training_set.name AS training_set,
    member.position
FROM lineage.row_example AS reached
INNER JOIN training_set_member AS member ON member.example_id = reached.example_id
INNER JOIN training_set ON training_set.training_set_id = member.training_set_id;

COMMENT ON VIEW lineage.row_set IS
'One row an example made from a source row, an example it reached, and a set with that one. Ask it by row, dataset or
licence; by set ask set_member.';
COMMENT ON COLUMN lineage.row_set.via_example_id IS 'the example that was made from the row';
COMMENT ON COLUMN lineage.row_set.example_id IS 'the example in the set: the same, or a later one made from it';
COMMENT ON COLUMN lineage.row_set.position IS 'place of example_id in the set, from 1';

CREATE VIEW lineage.dataset_set AS
SELECT
    reached.dataset,
    reached.licence,
    training_set.training_set_id,
    training_set.name AS training_set,
    count(DISTINCT reached.example_id) AS examples,
    training_set.size,
    CAST(count(DISTINCT reached.example_id) AS double precision) / training_set.size AS share,
    count(DISTINCT reached.row_id) AS rows,
    count(DISTINCT reached.example_id) FILTER (WHERE reached.retracted_at IS NOT NULL) AS retracted
FROM lineage.dataset_example AS reached
INNER JOIN training_set_member AS member ON member.example_id = reached.example_id
INNER JOIN training_set ON training_set.training_set_id = member.training_set_id
GROUP BY reached.dataset, reached.licence, training_set.training_set_id, training_set.name, training_set.size;

COMMENT ON VIEW lineage.dataset_set IS
'One row a dataset and a training set whose examples rest on it. Ask it by dataset or licence.';
COMMENT ON COLUMN lineage.dataset_set.examples IS 'examples of the set that rest on a row of the dataset';
COMMENT ON COLUMN lineage.dataset_set.size IS 'examples of the set';
COMMENT ON COLUMN lineage.dataset_set.share IS 'examples / size';
COMMENT ON COLUMN lineage.dataset_set.rows IS 'different rows of the dataset behind them';
COMMENT ON COLUMN lineage.dataset_set.retracted IS 'of the examples those whose row a retraction that stands covers';

CREATE VIEW lineage.run AS
SELECT
    run.training_run_id,
    task.name AS task,
    task_version.version AS task_version,
    run.training_set_id,
    training_set.name AS training_set,
    training_set.size,
    run.student,
    run.base,
    run.base_revision,
    run.hyperparameters,
    run.seed,
    run.state,
    run.code_version,
    run.artifact_path,
    encode(run.artifact_hash, 'hex') AS artifact_hash,
    run.created_at,
    run.finished_at
FROM training_run AS run
INNER JOIN training_set USING (training_set_id)
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id);

COMMENT ON VIEW lineage.run IS 'One row a training run: a student trained, or to be trained, on a set.';
COMMENT ON COLUMN lineage.run.size IS 'number of the set''s examples';
COMMENT ON COLUMN lineage.run.state IS 'waiting, running, done, failed or cancelled';
COMMENT ON COLUMN lineage.run.artifact_hash IS 'SHA-256 over the files of the model, in hex';

CREATE VIEW lineage.run_example AS
SELECT
    run.training_run_id,
    run.training_set_id,
    member.position,
    member.example_id,
    member.example_id AS via_example_id,
    0 AS depth
FROM training_run AS run
INNER JOIN training_set_member AS member USING (training_set_id)
UNION ALL
SELECT
    run.training_run_id,
    run.training_set_id,
    member.position,
    member.example_id,
    above.ancestor_id AS via_example_id,
    above.depth
FROM training_run AS run
INNER JOIN training_set_member AS member USING (training_set_id)
CROSS JOIN LATERAL lineage.ancestors_of(member.example_id) AS above
WHERE EXISTS (SELECT FROM example_parent WHERE example_parent.example_id = member.example_id);

COMMENT ON VIEW lineage.run_example IS
'One row an example of a run''s set and an example it rests on, which is itself or an earlier one it was made from.';
COMMENT ON COLUMN lineage.run_example.position IS 'place of example_id in the set, from 1';
COMMENT ON COLUMN lineage.run_example.via_example_id IS 'the example it rests on';
COMMENT ON COLUMN lineage.run_example.depth IS 'steps from example_id to via_example_id; 0 where they are the same';

CREATE VIEW lineage.run_source AS
SELECT
    reached.training_run_id,
    reached.position,
    reached.example_id,
    CASE reached.depth WHEN 0 THEN 'own' ELSE 'parent' END AS kind,
    reached.depth,
    reached.via_example_id,
    link.dataset_id,
    link.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    ingest_split.revision,
    dataset.licence,
    encode(source_row.content_hash, 'hex') AS row_hash,
    link.retracted_at
FROM lineage.run_example AS reached
INNER JOIN example ON example.example_id = reached.via_example_id
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
INNER JOIN ingest_split USING (dataset_id, ingest_id, split_id);

COMMENT ON VIEW lineage.run_source IS
'One row an example of a run''s set and an example it rests on: the row of that one. Ask it by run; by row or dataset
ask row_run.';
COMMENT ON COLUMN lineage.run_source.position IS 'place of example_id in the set, from 1';
COMMENT ON COLUMN lineage.run_source.kind IS
'own: the row example_id was made from; parent: the row of an earlier example';
COMMENT ON COLUMN lineage.run_source.depth IS 'steps to that earlier example; 0 for the own row';
COMMENT ON COLUMN lineage.run_source.via_example_id IS 'the example that was made from the row';
COMMENT ON COLUMN lineage.run_source.revision IS
'SHA-256 of the file the row was read from, or commit of a hub dataset';
COMMENT ON COLUMN lineage.run_source.row_hash IS 'SHA-256 over the row''s content, in hex';
COMMENT ON COLUMN lineage.run_source.retracted_at IS 'since when a retraction that stands covers the row';

CREATE VIEW lineage.run_dataset AS
SELECT
    reached.training_run_id,
    training_set.name AS training_set,
    dataset.name AS dataset,
    dataset.licence,
    count(DISTINCT reached.example_id) AS examples,
    training_set.size,
    CAST(count(DISTINCT reached.example_id) AS double precision) / training_set.size AS share,
    count(DISTINCT link.row_id) AS rows,
    count(DISTINCT reached.example_id) FILTER (WHERE link.retracted_at IS NOT NULL) AS retracted
FROM lineage.run_example AS reached
INNER JOIN example ON example.example_id = reached.via_example_id
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN training_set ON training_set.training_set_id = reached.training_set_id
GROUP BY reached.training_run_id, training_set.name, training_set.size, dataset.name, dataset.licence;

COMMENT ON VIEW lineage.run_dataset IS
'One row a run and a dataset that its examples rest on. Ask it by run; by dataset ask dataset_run.';
COMMENT ON COLUMN lineage.run_dataset.examples IS 'examples of the set that rest on a row of the dataset';
COMMENT ON COLUMN lineage.run_dataset.size IS 'examples of the set';
COMMENT ON COLUMN lineage.run_dataset.share IS
'examples / size; shares of a run add up to more than 1 where examples have parents of other datasets';
COMMENT ON COLUMN lineage.run_dataset.rows IS 'different rows of the dataset behind them';
COMMENT ON COLUMN lineage.run_dataset.retracted IS 'of the examples those whose row a retraction that stands covers';

CREATE VIEW lineage.run_licence AS
SELECT
    reached.training_run_id,
    training_set.name AS training_set,
    dataset.licence,
    count(DISTINCT reached.example_id) AS examples,
    training_set.size,
    CAST(count(DISTINCT reached.example_id) AS double precision) / training_set.size AS share,
    count(DISTINCT dataset.dataset_id) AS datasets
FROM lineage.run_example AS reached
INNER JOIN example ON example.example_id = reached.via_example_id
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN training_set ON training_set.training_set_id = reached.training_set_id
GROUP BY reached.training_run_id, training_set.name, training_set.size, dataset.licence;

COMMENT ON VIEW lineage.run_licence IS
'One row a run and a licence that its examples rest on. Ask it by run; by licence ask licence_run.';
COMMENT ON COLUMN lineage.run_licence.licence IS 'as datasets were loaded with; null is unknown';
COMMENT ON COLUMN lineage.run_licence.examples IS 'examples of the set that rest on a row under the licence';
COMMENT ON COLUMN lineage.run_licence.size IS 'examples of the set';
COMMENT ON COLUMN lineage.run_licence.share IS
'examples / size; shares of a run add up to more than 1 where examples have parents under other licences';
COMMENT ON COLUMN lineage.run_licence.datasets IS 'datasets under the licence among them';

CREATE VIEW lineage.run_teacher AS
SELECT
    reached.training_run_id,
    training_set.name AS training_set,
    teacher.teacher_id,
    teacher.provider,
    teacher.model,
    prompt.prompt_id,
    prompt.name AS prompt,
    encode(prompt.content_hash, 'hex') AS template_hash,
    count(DISTINCT reached.example_id) AS examples,
    training_set.size,
    CAST(count(DISTINCT reached.example_id) AS double precision) / training_set.size AS share
FROM lineage.run_example AS reached
INNER JOIN example ON example.example_id = reached.via_example_id
INNER JOIN generation USING (generation_id)
INNER JOIN teacher USING (teacher_id)
INNER JOIN prompt USING (prompt_id)
INNER JOIN training_set ON training_set.training_set_id = reached.training_set_id
GROUP BY
    reached.training_run_id, training_set.name, training_set.size, teacher.teacher_id, teacher.provider, teacher.model,
    prompt.prompt_id, prompt.name, prompt.content_hash;

COMMENT ON VIEW lineage.run_teacher IS 'One row a run, a teacher and a prompt template that its examples rest on.';
COMMENT ON COLUMN lineage.run_teacher.prompt IS 'name of the template';
COMMENT ON COLUMN lineage.run_teacher.template_hash IS 'SHA-256 of the template, in hex';
COMMENT ON COLUMN lineage.run_teacher.examples IS 'examples of the set that rest on an answer to the prompt';
COMMENT ON COLUMN lineage.run_teacher.size IS 'examples of the set';
COMMENT ON COLUMN lineage.run_teacher.share IS 'examples / size';

CREATE VIEW lineage.run_cost AS
WITH behind AS NOT MATERIALIZED (
    -- An example that several rest on is paid once. Not materialized, so that the run asked for is looked up in it.
    SELECT DISTINCT training_run_id, via_example_id AS example_id FROM lineage.run_example
),

asked AS (
    SELECT
        behind.training_run_id,
        generation.generation_id,
        bool_or(generation.generation_id = example.generation_id) AS in_use
    FROM behind
    INNER JOIN example USING (example_id)
    INNER JOIN generation USING (link_id)
    GROUP BY behind.training_run_id, generation.generation_id
),

call AS (
    SELECT
        asked.training_run_id,
        CASE WHEN asked.in_use THEN 'answer' ELSE 'other attempt' END AS kind,
        generation.prompt_tokens,
        generation.completion_tokens,
        generation.cost,
        generation.reused_from IS NOT NULL AS reused,
        generation.maybe_billed
    FROM asked
    INNER JOIN generation USING (generation_id)
    UNION ALL
    SELECT
        behind.training_run_id,
        'judge' AS kind,
        judgement.prompt_tokens,
        judgement.completion_tokens,
        judgement.cost,
        false AS reused,
        judgement.maybe_billed
    FROM behind
    INNER JOIN judgement USING (example_id)
)

SELECT
    training_run_id,
    kind,
    count(*) AS calls,
    count(*) FILTER (WHERE reused) AS reused,
    count(*) FILTER (WHERE maybe_billed) AS maybe_billed,
    sum(prompt_tokens) AS prompt_tokens,
    sum(completion_tokens) AS completion_tokens,
    sum(cost) AS cost
FROM call
GROUP BY training_run_id, kind;

COMMENT ON VIEW lineage.run_cost IS
'One row a run and a kind of call for the examples that it rests on: what they took.';
COMMENT ON COLUMN lineage.run_cost.kind IS
'answer: the calls that the examples were read from; other attempt: further calls for the same rows; judge: calls that
judged the examples';
COMMENT ON COLUMN lineage.run_cost.reused IS
'calls that used a stored answer again; tokens and cost stand with its first call';
COMMENT ON COLUMN lineage.run_cost.maybe_billed IS 'calls of which nobody knows whether the server did the work';
COMMENT ON COLUMN lineage.run_cost.cost IS 'null where no call has a known cost';

CREATE VIEW lineage.row_run AS
SELECT
    reached.dataset_id,
    reached.row_id,
    reached.dataset,
    reached.config,
    reached.split,
    reached.source_index,
    reached.licence,
    reached.retracted_at,
    reached.via_example_id,
    reached.example_id,
    reached.kind,
    reached.depth,
    training_set.name AS training_set,
    member.position,
    run.training_run_id,
    run.state,
    run.artifact_path
FROM lineage.row_example AS reached
INNER JOIN training_set_member AS member ON member.example_id = reached.example_id
INNER JOIN training_set ON training_set.training_set_id = member.training_set_id
INNER JOIN training_run AS run ON run.training_set_id = member.training_set_id;

COMMENT ON VIEW lineage.row_run IS
'One row an example made from a source row, an example it reached, and a run on a set with that one. Ask it by row,
dataset or licence; by run ask run_source.';
COMMENT ON COLUMN lineage.row_run.via_example_id IS 'the example that was made from the row';
COMMENT ON COLUMN lineage.row_run.example_id IS 'the example in the set: the same, or a later one made from it';
COMMENT ON COLUMN lineage.row_run.position IS 'place of example_id in the set, from 1';
COMMENT ON COLUMN lineage.row_run.state IS 'of the run: waiting, running, done, failed or cancelled';

CREATE VIEW lineage.dataset_run AS
SELECT
    reached.dataset,
    reached.licence,
    run.training_run_id,
    training_set.name AS training_set,
    run.state,
    run.artifact_path,
    count(DISTINCT reached.example_id) AS examples,
    training_set.size,
    CAST(count(DISTINCT reached.example_id) AS double precision) / training_set.size AS share,
    count(DISTINCT reached.row_id) AS rows,
    count(DISTINCT reached.example_id) FILTER (WHERE reached.retracted_at IS NOT NULL) AS retracted
FROM lineage.dataset_example AS reached
INNER JOIN training_set_member AS member ON member.example_id = reached.example_id
INNER JOIN training_set ON training_set.training_set_id = member.training_set_id
INNER JOIN training_run AS run ON run.training_set_id = member.training_set_id
GROUP BY
    reached.dataset, reached.licence, run.training_run_id, run.state, run.artifact_path,
    training_set.name, training_set.size;

COMMENT ON VIEW lineage.dataset_run IS
'One row a dataset and a run whose examples rest on it. Ask it by dataset; by run ask run_dataset.';
COMMENT ON COLUMN lineage.dataset_run.state IS 'of the run: waiting, running, done, failed or cancelled';
COMMENT ON COLUMN lineage.dataset_run.examples IS 'examples of the run''s set that rest on a row of the dataset';
COMMENT ON COLUMN lineage.dataset_run.size IS 'examples of the set';
COMMENT ON COLUMN lineage.dataset_run.share IS 'examples / size';
COMMENT ON COLUMN lineage.dataset_run.rows IS 'different rows of the dataset behind them';
COMMENT ON COLUMN lineage.dataset_run.retracted IS 'of the examples those whose row a retraction that stands covers';

CREATE VIEW lineage.licence_run AS
SELECT
    reached.licence,
    run.training_run_id,
    training_set.name AS training_set,
    run.state,
    run.artifact_path,
    count(DISTINCT reached.example_id) AS examples,
    training_set.size,
    CAST(count(DISTINCT reached.example_id) AS double precision) / training_set.size AS share,
    count(DISTINCT reached.dataset_id) AS datasets
FROM lineage.dataset_example AS reached
INNER JOIN training_set_member AS member ON member.example_id = reached.example_id
INNER JOIN training_set ON training_set.training_set_id = member.training_set_id
INNER JOIN training_run AS run ON run.training_set_id = member.training_set_id
GROUP BY
    reached.licence, run.training_run_id, run.state, run.artifact_path, training_set.name, training_set.size;

COMMENT ON VIEW lineage.licence_run IS
'One row a licence and a run whose examples rest on rows under it. Ask it by licence; by run ask run_licence.';
COMMENT ON COLUMN lineage.licence_run.licence IS 'as datasets were loaded with; null is unknown';
COMMENT ON COLUMN lineage.licence_run.state IS 'of the run: waiting, running, done, failed or cancelled';
COMMENT ON COLUMN lineage.licence_run.examples IS 'examples of the run''s set that rest on a row under the licence';
COMMENT ON COLUMN lineage.licence_run.size IS 'examples of the set';
COMMENT ON COLUMN lineage.licence_run.share IS 'examples / size';
COMMENT ON COLUMN lineage.licence_run.datasets IS 'datasets under the licence among them';

CREATE VIEW lineage.score AS
SELECT
    evaluation.evaluation_id,
    evaluation.training_run_id,
    training_set.name AS training_set,
    task.name AS task,
    benchmark.benchmark_id,
    benchmark.name AS benchmark,
    encode(benchmark.content_hash, 'hex') AS benchmark_hash,
    evaluation.metric,
    evaluation.value,
    evaluation.low,
    evaluation.high,
    evaluation.majority,
    evaluation.items,
    evaluation.created_at
FROM evaluation
INNER JOIN benchmark USING (benchmark_id)
INNER JOIN training_run USING (training_run_id)
INNER JOIN training_set USING (training_set_id)
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id);

COMMENT ON VIEW lineage.score IS 'One row a run, a benchmark and a metric: the score.';
COMMENT ON COLUMN lineage.score.low IS 'lower end of the 95 % interval';
COMMENT ON COLUMN lineage.score.high IS 'upper end of the 95 % interval';
COMMENT ON COLUMN lineage.score.majority IS 'what always giving the most frequent answer would score';
COMMENT ON COLUMN lineage.score.items IS 'number of the benchmark''s items';

CREATE VIEW lineage.retraction AS
SELECT
    retraction.retraction_id,
    retraction.kind,
    retraction.target,
    retraction.reason,
    retraction.mirrors,
    retraction.asked_by,
    retraction.created_at AS retracted_at,
    retraction.undone_at IS NULL AS standing,
    retraction.undone_at,
    retraction.undo_reason,
    retraction.erased_at,
    (SELECT count(*) FROM retracted_row WHERE retracted_row.retraction_id = retraction.retraction_id) AS rows
FROM retraction;

COMMENT ON VIEW lineage.retraction IS 'One row a retraction, also one that was undone.';
COMMENT ON COLUMN lineage.retraction.target IS 'what was named; of a text its SHA-256 in hex';
COMMENT ON COLUMN lineage.retraction.mirrors IS 'whether rows with the content of a named one are covered too';
COMMENT ON COLUMN lineage.retraction.standing IS 'it was not undone';
COMMENT ON COLUMN lineage.retraction.erased_at IS 'since when the words of its rows are gone';
COMMENT ON COLUMN lineage.retraction.rows IS 'rows that it covers';

CREATE VIEW lineage.retracted_row AS
SELECT
    retracted_row.retraction_id,
    retraction.kind,
    retraction.target,
    retraction.reason,
    retraction.created_at AS retracted_at,
    retraction.undone_at IS NULL AS standing,
    retracted_row.dataset_id,
    retracted_row.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    source_row.erased_by
FROM retracted_row
INNER JOIN retraction USING (retraction_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset_split USING (dataset_id, split_id);

COMMENT ON VIEW lineage.retracted_row IS 'One row a retraction and a source row that it covers.';
COMMENT ON COLUMN lineage.retracted_row.target IS 'what was named; of a text its SHA-256 in hex';
COMMENT ON COLUMN lineage.retracted_row.standing IS 'the retraction was not undone';
COMMENT ON COLUMN lineage.retracted_row.erased_by IS 'the retraction under which the row''s words were erased';

CREATE VIEW lineage.retracted_example AS
SELECT
    retraction.retraction_id,
    retraction.undone_at IS NULL AS standing,
    link.dataset_id,
    link.row_id,
    example.example_id AS via_example_id,
    example.example_id,
    0 AS depth
FROM retraction
INNER JOIN retracted_row USING (retraction_id)
INNER JOIN retrieval_link AS link USING (dataset_id, row_id)
INNER JOIN example USING (link_id)
UNION ALL
SELECT
    retraction.retraction_id,
    retraction.undone_at IS NULL AS standing,
    link.dataset_id,
    link.row_id,
    example.example_id AS via_example_id,
    below.descendant_id AS example_id,
    below.depth
FROM retraction
INNER JOIN retracted_row USING (retraction_id)
INNER JOIN retrieval_link AS link USING (dataset_id, row_id)
INNER JOIN example USING (link_id)
CROSS JOIN LATERAL lineage.descendants_of(example.example_id) AS below
WHERE EXISTS (SELECT FROM example_parent WHERE example_parent.parent_id = example.example_id);

COMMENT ON VIEW lineage.retracted_example IS
'One row a retraction, an example made from a row that it covers, and an example that one reached, which is itself or a
later one made from it.';
COMMENT ON COLUMN lineage.retracted_example.standing IS 'the retraction was not undone';
COMMENT ON COLUMN lineage.retracted_example.via_example_id IS 'the example that was made from the row';
COMMENT ON COLUMN lineage.retracted_example.depth IS
'steps from via_example_id to example_id; 0 where they are the same';

CREATE VIEW lineage.retracted_set AS
SELECT
    reached.retraction_id,
    reached.standing,
    training_set.training_set_id,
    training_set.name AS training_set,
    count(DISTINCT reached.example_id) AS examples,
    training_set.size,
    CAST(count(DISTINCT reached.example_id) AS double precision) / training_set.size AS share,
    count(DISTINCT (reached.dataset_id, reached.row_id)) AS rows
FROM lineage.retracted_example AS reached
INNER JOIN training_set_member AS member ON member.example_id = reached.example_id
INNER JOIN training_set ON training_set.training_set_id = member.training_set_id
GROUP BY
    reached.retraction_id, reached.standing, training_set.training_set_id,
    training_set.name, training_set.size;

COMMENT ON VIEW lineage.retracted_set IS
'One row a retraction and a frozen set with examples that rest on rows it covers.';
COMMENT ON COLUMN lineage.retracted_set.standing IS 'the retraction was not undone';
COMMENT ON COLUMN lineage.retracted_set.examples IS 'examples of the set that rest on a row it covers';
COMMENT ON COLUMN lineage.retracted_set.size IS 'examples of the set';
COMMENT ON COLUMN lineage.retracted_set.share IS 'examples / size';
COMMENT ON COLUMN lineage.retracted_set.rows IS 'rows it covers behind them';

CREATE VIEW lineage.retracted_run AS
SELECT
    reached.retraction_id,
    reached.standing,
    run.training_run_id,
    run.state,
    run.artifact_path,
    encode(run.artifact_hash, 'hex') AS artifact_hash,
    training_set.name AS training_set,
    count(DISTINCT reached.example_id) AS examples,
    training_set.size,
    CAST(count(DISTINCT reached.example_id) AS double precision) / training_set.size AS share,
    count(DISTINCT (reached.dataset_id, reached.row_id)) AS rows
FROM lineage.retracted_example AS reached
INNER JOIN training_set_member AS member ON member.example_id = reached.example_id
INNER JOIN training_set ON training_set.training_set_id = member.training_set_id
INNER JOIN training_run AS run ON run.training_set_id = member.training_set_id
GROUP BY
    reached.retraction_id, reached.standing, run.training_run_id, run.state, run.artifact_path,
    run.artifact_hash,
    training_set.name, training_set.size;

COMMENT ON VIEW lineage.retracted_run IS
'One row a retraction and a run, also one that has not finished, on a set with examples that rest on rows it covers.';
COMMENT ON COLUMN lineage.retracted_run.standing IS 'the retraction was not undone';
COMMENT ON COLUMN lineage.retracted_run.examples IS 'examples of the set that rest on a row it covers';
COMMENT ON COLUMN lineage.retracted_run.size IS 'examples of the set';
COMMENT ON COLUMN lineage.retracted_run.share IS 'examples / size';
COMMENT ON COLUMN lineage.retracted_run.rows IS 'rows it covers behind them';

CREATE VIEW lineage.published_example AS
SELECT
    published.published_example_id,
    publication.publication_id,
    publication.name AS publication,
    task.name AS task,
    publication.uri,
    published.position,
    published.input,
    published.output,
    published.row_reference,
    encode(published.content_hash, 'hex') AS example_hash
FROM published_example AS published
INNER JOIN publication USING (publication_id)
INNER JOIN task USING (task_id);

COMMENT ON VIEW lineage.published_example IS
'One row an example that others published: nobody here saw the call it came of. Where it may come from is in
published_source.';
COMMENT ON COLUMN lineage.published_example.position IS 'its place in the publication, from 1';
COMMENT ON COLUMN lineage.published_example.row_reference IS 'what its publisher says of its source, if anything';
COMMENT ON COLUMN lineage.published_example.example_hash IS 'SHA-256 over input and output, in hex';

CREATE VIEW lineage.published_source AS
SELECT
    published.published_example_id,
    publication.name AS publication,
    task.name AS task,
    published.position,
    likely.dataset_id,
    likely.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    dataset.licence,
    likely.method <> 'stated' AS guess,
    likely.method,
    likely.confidence,
    likely.evidence,
    source_row.retracted_at
FROM published_example AS published
INNER JOIN publication USING (publication_id)
INNER JOIN likely_source AS likely USING (published_example_id)
INNER JOIN dataset USING (dataset_id)
INNER JOIN source_row USING (dataset_id, row_id)
INNER JOIN dataset_split USING (dataset_id, split_id)
INNER JOIN task USING (task_id);

COMMENT ON VIEW lineage.published_source IS
'One row a published example, a row that it may have been made from, and a method that says so. Nothing in it is known:
it is the publisher''s word or a guess.';
COMMENT ON COLUMN lineage.published_source.position IS 'the example''s place in the publication, from 1';
COMMENT ON COLUMN lineage.published_source.guess IS
'false where the publisher states the row, true where it was inferred';
COMMENT ON COLUMN lineage.published_source.method IS 'stated, or how the row was inferred';
COMMENT ON COLUMN lineage.published_source.confidence IS 'from 0 to 1; below 1 for every guess';
COMMENT ON COLUMN lineage.published_source.evidence IS 'what the method saw';

CREATE VIEW lineage.published_rank AS
SELECT
    publication.publication_id,
    publication.name AS publication,
    task.name AS task,
    ranked.rank,
    ranked.score,
    ranked.row_reference,
    ranked.dataset_id,
    ranked.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    source_row.source_index,
    dataset.licence
FROM published_rank AS ranked
INNER JOIN publication USING (publication_id)
INNER JOIN task USING (task_id)
LEFT JOIN source_row ON source_row.dataset_id = ranked.dataset_id AND source_row.row_id = ranked.row_id
LEFT JOIN dataset ON dataset.dataset_id = ranked.dataset_id
LEFT JOIN dataset_split
    ON dataset_split.dataset_id = source_row.dataset_id AND dataset_split.split_id = source_row.split_id;

COMMENT ON VIEW lineage.published_rank IS
'One row a place in a ranking that others published, and the loaded row that has the name given there.';
COMMENT ON COLUMN lineage.published_rank.row_reference IS 'the row as its publisher names it';
COMMENT ON COLUMN lineage.published_rank.dataset_id IS 'null, as all after it, where no loaded row has that name';

CREATE FUNCTION lineage.sources_of(of_example bigint)
RETURNS SETOF lineage.example_source
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT * FROM lineage.example_source WHERE example_id = of_example;
END;

COMMENT ON FUNCTION lineage.sources_of IS 'The rows of example_source of one example.';

CREATE FUNCTION lineage.reached_by(of_dataset integer, of_row integer)
RETURNS TABLE (kind text, id bigint, reference text)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH reached AS (
        SELECT DISTINCT example_id FROM lineage.row_example WHERE dataset_id = of_dataset AND row_id = of_row
    ),

    containing AS (
        SELECT DISTINCT member.training_set_id FROM reached INNER JOIN training_set_member AS member USING (example_id)
    )

    SELECT 'link', link_id, 'link:' || link_id
    FROM retrieval_link
    WHERE dataset_id = of_dataset AND row_id = of_row
    UNION ALL
    SELECT 'call', generation.generation_id, 'call:' || generation.generation_id
    FROM retrieval_link
    INNER JOIN generation USING (link_id)
    WHERE retrieval_link.dataset_id = of_dataset AND retrieval_link.row_id = of_row
    UNION ALL
    SELECT 'example', example_id, 'example:' || example_id
    FROM reached
    UNION ALL
    SELECT 'set', training_set.training_set_id, 'set:' || training_set.name
    FROM containing
    INNER JOIN training_set USING (training_set_id)
    UNION ALL
    SELECT 'run', training_run.training_run_id, 'run:' || training_run.training_run_id
    FROM containing
    INNER JOIN training_run USING (training_set_id)
    UNION ALL
    SELECT 'evaluation', evaluation.evaluation_id, 'evaluation:' || evaluation.evaluation_id
    FROM containing
    INNER JOIN training_run USING (training_set_id)
    INNER JOIN evaluation USING (training_run_id);
END;

COMMENT ON FUNCTION lineage.reached_by IS
'All that a source row reached, given by dataset_id and row_id: one row a link, call, example, set, run or evaluation,
with its reference as commands take it.';

CREATE FUNCTION lineage.children_of(of_kind text, of_keys text[], most integer DEFAULT 100)
RETURNS TABLE (of_key text, kind text, key text, role text, others bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = public AS $$
#variable_conflict use_column
BEGIN
    CASE of_kind
    WHEN 'licence' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'dataset', CAST(dataset_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM (SELECT coalesce(licence, 'unknown') AS stated_licence, dataset_id FROM dataset) AS licensed WHERE stated_licence = start.key ORDER BY dataset_id LIMIT most) UNION ALL
            (SELECT 'dataset', NULL, NULL, count(*) FROM (SELECT FROM (SELECT coalesce(licence, 'unknown') AS stated_licence, dataset_id FROM dataset) AS licensed WHERE stated_licence = start.key OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'dataset' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'load', dataset_id || '/' || ingest_id, CAST(NULL AS text), CAST(NULL AS bigint) FROM ingest WHERE dataset_id = CAST(start.key AS bigint) ORDER BY ingest_id LIMIT most) UNION ALL
            (SELECT 'load', NULL, NULL, count(*) FROM (SELECT FROM ingest WHERE dataset_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'load' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'row', dataset_id || '/' || row_id, CAST(NULL AS text), CAST(NULL AS bigint) FROM source_row WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND ingest_id = CAST(split_part(start.key, '/', 2) AS bigint) AND row_id > (SELECT coalesce(sum(rows_added), 0) FROM ingest_split AS before WHERE before.dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND before.ingest_id < CAST(split_part(start.key, '/', 2) AS bigint)) ORDER BY row_id LIMIT most) UNION ALL
            (SELECT 'row', NULL, NULL, total - most FROM (SELECT sum(rows_added) FROM ingest_split WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND ingest_id = CAST(split_part(start.key, '/', 2) AS bigint)) AS counted (total) WHERE total > most)
        ) AS found (kind, key, role, others);
    WHEN 'row' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'row', dataset_id || '/' || row_id, CAST('changed into' AS text), CAST(NULL AS bigint) FROM changed_row WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND previous_row_id = CAST(split_part(start.key, '/', 2) AS bigint) LIMIT most) UNION ALL
            (SELECT 'row', NULL, NULL, count(*) FROM (SELECT FROM changed_row WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND previous_row_id = CAST(split_part(start.key, '/', 2) AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
            UNION ALL
            (SELECT 'link', CAST(link_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM retrieval_link WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND row_id = CAST(split_part(start.key, '/', 2) AS bigint) ORDER BY link_id LIMIT most) UNION ALL
            (SELECT 'link', NULL, NULL, count(*) FROM (SELECT FROM retrieval_link WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND row_id = CAST(split_part(start.key, '/', 2) AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
            UNION ALL
            (SELECT 'publication', CAST(publication_id AS text), CAST('ranked ' || rank || ' in it' AS text), CAST(NULL AS bigint) FROM (SELECT * FROM published_rank WHERE dataset_id IS NOT NULL) AS ranked WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND row_id = CAST(split_part(start.key, '/', 2) AS bigint) ORDER BY publication_id, rank LIMIT most) UNION ALL
            (SELECT 'publication', NULL, NULL, count(*) FROM (SELECT FROM (SELECT * FROM published_rank WHERE dataset_id IS NOT NULL) AS ranked WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND row_id = CAST(split_part(start.key, '/', 2) AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
            UNION ALL
            (SELECT 'published', CAST(published_example_id AS text), CAST(CASE WHEN confidence = 1 THEN 'as its publisher states' ELSE 'likely, a guess: ' || least(greatest(round(CAST(confidence AS numeric), 2), 0.01), 0.99) END AS text), CAST(NULL AS bigint) FROM (SELECT dataset_id, row_id, published_example_id, max(confidence) AS confidence FROM likely_source GROUP BY dataset_id, row_id, published_example_id) AS likely WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND row_id = CAST(split_part(start.key, '/', 2) AS bigint) ORDER BY published_example_id LIMIT most) UNION ALL
            (SELECT 'published', NULL, NULL, count(*) FROM (SELECT FROM (SELECT dataset_id, row_id, published_example_id, max(confidence) AS confidence FROM likely_source GROUP BY dataset_id, row_id, published_example_id) AS likely WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND row_id = CAST(split_part(start.key, '/', 2) AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'task' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'retrieval', CAST(retrieval_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM retrieval INNER JOIN task_version USING (task_version_id) WHERE task_id = CAST(start.key AS bigint) ORDER BY retrieval_id LIMIT most) UNION ALL
            (SELECT 'retrieval', NULL, NULL, count(*) FROM (SELECT FROM retrieval INNER JOIN task_version USING (task_version_id) WHERE task_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
            UNION ALL
            (SELECT 'set', CAST(training_set_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM training_set INNER JOIN task_version USING (task_version_id) WHERE task_id = CAST(start.key AS bigint) ORDER BY training_set_id LIMIT most) UNION ALL
            (SELECT 'set', NULL, NULL, count(*) FROM (SELECT FROM training_set INNER JOIN task_version USING (task_version_id) WHERE task_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
            UNION ALL
            (SELECT 'publication', CAST(publication_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM publication WHERE task_id = CAST(start.key AS bigint) ORDER BY publication_id LIMIT most) UNION ALL
            (SELECT 'publication', NULL, NULL, count(*) FROM (SELECT FROM publication WHERE task_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'encoder' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'retrieval', CAST(retrieval_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM retrieval WHERE encoder_id = CAST(start.key AS bigint) ORDER BY retrieval_id LIMIT most) UNION ALL
            (SELECT 'retrieval', NULL, NULL, count(*) FROM (SELECT FROM retrieval WHERE encoder_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'retrieval' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'link', CAST(link_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM retrieval_link INNER JOIN retrieval ON retrieval.task_version_id = retrieval_link.task_version_id AND retrieval.encoder_id = retrieval_link.encoder_id AND retrieval.retrieval_id = retrieval_link.entered_by WHERE retrieval_id = CAST(start.key AS bigint) LIMIT most) UNION ALL
            (SELECT 'link', NULL, NULL, total - most FROM (SELECT rows_entered FROM retrieval WHERE retrieval_id = CAST(start.key AS bigint)) AS counted (total) WHERE total > most)
        ) AS found (kind, key, role, others);
    WHEN 'link' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'call', CAST(generation_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM generation WHERE link_id = CAST(start.key AS bigint) ORDER BY attempt LIMIT most) UNION ALL
            (SELECT 'call', NULL, NULL, count(*) FROM (SELECT FROM generation WHERE link_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'teacher' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'call', CAST(generation_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM generation WHERE teacher_id = CAST(start.key AS bigint) LIMIT most) UNION ALL
            (SELECT 'call', NULL, NULL, count(*) FROM (SELECT FROM generation WHERE teacher_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
            UNION ALL
            (SELECT 'judgement', CAST(judgement_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM judgement WHERE teacher_id = CAST(start.key AS bigint) LIMIT most) UNION ALL
            (SELECT 'judgement', NULL, NULL, count(*) FROM (SELECT FROM judgement WHERE teacher_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'prompt' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'call', CAST(generation_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM generation WHERE prompt_id = CAST(start.key AS bigint) LIMIT most) UNION ALL
            (SELECT 'call', NULL, NULL, count(*) FROM (SELECT FROM generation WHERE prompt_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
            UNION ALL
            (SELECT 'judgement', CAST(judgement_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM judgement WHERE prompt_id = CAST(start.key AS bigint) LIMIT most) UNION ALL
            (SELECT 'judgement', NULL, NULL, count(*) FROM (SELECT FROM judgement WHERE prompt_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'call' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'call', CAST(generation_id AS text), CAST('used its answer again' AS text), CAST(NULL AS bigint) FROM generation WHERE reused_from = CAST(start.key AS bigint) LIMIT most) UNION ALL
            (SELECT 'call', NULL, NULL, count(*) FROM (SELECT FROM generation WHERE reused_from = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
            UNION ALL
            (SELECT 'example', CAST(example_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM example WHERE generation_id = CAST(start.key AS bigint) LIMIT most) UNION ALL
            (SELECT 'example', NULL, NULL, count(*) FROM (SELECT FROM example WHERE generation_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'example' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'example', CAST(example_id AS text), CAST('made from it' AS text), CAST(NULL AS bigint) FROM example_parent WHERE parent_id = CAST(start.key AS bigint) ORDER BY example_id LIMIT most) UNION ALL
            (SELECT 'example', NULL, NULL, count(*) FROM (SELECT FROM example_parent WHERE parent_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
            UNION ALL
            (SELECT 'set', CAST(training_set_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM training_set_member WHERE example_id = CAST(start.key AS bigint) ORDER BY training_set_id LIMIT most) UNION ALL
            (SELECT 'set', NULL, NULL, count(*) FROM (SELECT FROM training_set_member WHERE example_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'judgement' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'example', CAST(example_id AS text), CAST('judged it' AS text), CAST(NULL AS bigint) FROM judgement WHERE judgement_id = CAST(start.key AS bigint) LIMIT most) UNION ALL
            (SELECT 'example', NULL, NULL, count(*) FROM (SELECT FROM judgement WHERE judgement_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'set' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'run', CAST(training_run_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM training_run WHERE training_set_id = CAST(start.key AS bigint) ORDER BY training_run_id LIMIT most) UNION ALL
            (SELECT 'run', NULL, NULL, count(*) FROM (SELECT FROM training_run WHERE training_set_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'run' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'evaluation', CAST(evaluation_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM evaluation WHERE training_run_id = CAST(start.key AS bigint) ORDER BY evaluation_id LIMIT most) UNION ALL
            (SELECT 'evaluation', NULL, NULL, count(*) FROM (SELECT FROM evaluation WHERE training_run_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'benchmark' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'evaluation', CAST(evaluation_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM evaluation WHERE benchmark_id = CAST(start.key AS bigint) ORDER BY evaluation_id LIMIT most) UNION ALL
            (SELECT 'evaluation', NULL, NULL, count(*) FROM (SELECT FROM evaluation WHERE benchmark_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'publication' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'published', CAST(published_example_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM published_example WHERE publication_id = CAST(start.key AS bigint) ORDER BY position LIMIT most) UNION ALL
            (SELECT 'published', NULL, NULL, count(*) FROM (SELECT FROM published_example WHERE publication_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'retraction' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'dataset', CAST(dataset_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM retracted_dataset WHERE retraction_id = CAST(start.key AS bigint) ORDER BY dataset_id LIMIT most) UNION ALL
            (SELECT 'dataset', NULL, NULL, count(*) FROM (SELECT FROM retracted_dataset WHERE retraction_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
            UNION ALL
            (SELECT 'row', dataset_id || '/' || row_id, CAST('covered' AS text), CAST(NULL AS bigint) FROM retracted_row WHERE retraction_id = CAST(start.key AS bigint) ORDER BY dataset_id, row_id LIMIT most) UNION ALL
            (SELECT 'row', NULL, NULL, count(*) FROM (SELECT FROM retracted_row WHERE retraction_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    ELSE RETURN;
    END CASE;
END $$;

COMMENT ON FUNCTION lineage.children_of IS
'What came of records of a kind directly, at most so many of each kind for each. Where there are more, one row without a
key says how many others there are, counted up to 100,000.';

CREATE FUNCTION lineage.parents_of(of_kind text, of_keys text[], most integer DEFAULT 100)
RETURNS TABLE (of_key text, kind text, key text, role text, others bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20 SET search_path = public AS $$
#variable_conflict use_column
BEGIN
    CASE of_kind
    WHEN 'dataset' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'licence', CAST(stated_licence AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM (SELECT coalesce(licence, 'unknown') AS stated_licence, dataset_id FROM dataset) AS licensed WHERE dataset_id = CAST(start.key AS bigint))
            UNION ALL
            (SELECT 'retraction', CAST(retraction_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM retracted_dataset WHERE dataset_id = CAST(start.key AS bigint) ORDER BY retraction_id LIMIT most) UNION ALL
            (SELECT 'retraction', NULL, NULL, count(*) FROM (SELECT FROM retracted_dataset WHERE dataset_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'load' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'dataset', CAST(dataset_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM ingest WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND ingest_id = CAST(split_part(start.key, '/', 2) AS bigint))
        ) AS found (kind, key, role, others);
    WHEN 'row' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'load', dataset_id || '/' || ingest_id, CAST(NULL AS text), CAST(NULL AS bigint) FROM source_row WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND row_id = CAST(split_part(start.key, '/', 2) AS bigint))
            UNION ALL
            (SELECT 'row', dataset_id || '/' || previous_row_id, CAST('changed into' AS text), CAST(NULL AS bigint) FROM changed_row WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND row_id = CAST(split_part(start.key, '/', 2) AS bigint) AND dataset_id IS NOT NULL AND previous_row_id IS NOT NULL)
            UNION ALL
            (SELECT 'retraction', CAST(retraction_id AS text), CAST('covered' AS text), CAST(NULL AS bigint) FROM retracted_row WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND row_id = CAST(split_part(start.key, '/', 2) AS bigint) ORDER BY retraction_id LIMIT most) UNION ALL
            (SELECT 'retraction', NULL, NULL, count(*) FROM (SELECT FROM retracted_row WHERE dataset_id = CAST(split_part(start.key, '/', 1) AS bigint) AND row_id = CAST(split_part(start.key, '/', 2) AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'retrieval' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'task', CAST(task_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM retrieval INNER JOIN task_version USING (task_version_id) WHERE retrieval_id = CAST(start.key AS bigint))
            UNION ALL
            (SELECT 'encoder', CAST(encoder_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM retrieval WHERE retrieval_id = CAST(start.key AS bigint))
        ) AS found (kind, key, role, others);
    WHEN 'link' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'row', dataset_id || '/' || row_id, CAST(NULL AS text), CAST(NULL AS bigint) FROM retrieval_link WHERE link_id = CAST(start.key AS bigint))
            UNION ALL
            (SELECT 'retrieval', CAST(retrieval_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM retrieval_link INNER JOIN retrieval ON retrieval.task_version_id = retrieval_link.task_version_id AND retrieval.encoder_id = retrieval_link.encoder_id AND retrieval.retrieval_id = retrieval_link.entered_by WHERE link_id = CAST(start.key AS bigint))
        ) AS found (kind, key, role, others);
    WHEN 'call' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'link', CAST(link_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM generation WHERE generation_id = CAST(start.key AS bigint))
            UNION ALL
            (SELECT 'teacher', CAST(teacher_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM generation WHERE generation_id = CAST(start.key AS bigint))
            UNION ALL
            (SELECT 'prompt', CAST(prompt_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM generation WHERE generation_id = CAST(start.key AS bigint))
            UNION ALL
            (SELECT 'call', CAST(reused_from AS text), CAST('used its answer again' AS text), CAST(NULL AS bigint) FROM generation WHERE generation_id = CAST(start.key AS bigint) AND reused_from IS NOT NULL)
        ) AS found (kind, key, role, others);
    WHEN 'example' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'call', CAST(generation_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM example WHERE example_id = CAST(start.key AS bigint))
            UNION ALL
            (SELECT 'example', CAST(parent_id AS text), CAST('made from it' AS text), CAST(NULL AS bigint) FROM example_parent WHERE example_id = CAST(start.key AS bigint) ORDER BY parent_id LIMIT most) UNION ALL
            (SELECT 'example', NULL, NULL, count(*) FROM (SELECT FROM example_parent WHERE example_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
            UNION ALL
            (SELECT 'judgement', CAST(judgement_id AS text), CAST('judged it' AS text), CAST(NULL AS bigint) FROM judgement WHERE example_id = CAST(start.key AS bigint) ORDER BY judgement_id LIMIT most) UNION ALL
            (SELECT 'judgement', NULL, NULL, count(*) FROM (SELECT FROM judgement WHERE example_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'judgement' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'teacher', CAST(teacher_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM judgement WHERE judgement_id = CAST(start.key AS bigint))
            UNION ALL
            (SELECT 'prompt', CAST(prompt_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM judgement WHERE judgement_id = CAST(start.key AS bigint))
        ) AS found (kind, key, role, others);
    WHEN 'set' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'example', CAST(example_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM training_set_member WHERE training_set_id = CAST(start.key AS bigint) ORDER BY position LIMIT most) UNION ALL
            (SELECT 'example', NULL, NULL, total - most FROM (SELECT size FROM training_set WHERE training_set_id = CAST(start.key AS bigint)) AS counted (total) WHERE total > most)
            UNION ALL
            (SELECT 'task', CAST(task_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM training_set INNER JOIN task_version USING (task_version_id) WHERE training_set_id = CAST(start.key AS bigint))
        ) AS found (kind, key, role, others);
    WHEN 'run' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'set', CAST(training_set_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM training_run WHERE training_run_id = CAST(start.key AS bigint))
        ) AS found (kind, key, role, others);
    WHEN 'evaluation' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'run', CAST(training_run_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM evaluation WHERE evaluation_id = CAST(start.key AS bigint))
            UNION ALL
            (SELECT 'benchmark', CAST(benchmark_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM evaluation WHERE evaluation_id = CAST(start.key AS bigint))
        ) AS found (kind, key, role, others);
    WHEN 'publication' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'task', CAST(task_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM publication WHERE publication_id = CAST(start.key AS bigint))
            UNION ALL
            (SELECT 'row', dataset_id || '/' || row_id, CAST('ranked ' || rank || ' in it' AS text), CAST(NULL AS bigint) FROM (SELECT * FROM published_rank WHERE dataset_id IS NOT NULL) AS ranked WHERE publication_id = CAST(start.key AS bigint) ORDER BY rank LIMIT most) UNION ALL
            (SELECT 'row', NULL, NULL, count(*) FROM (SELECT FROM (SELECT * FROM published_rank WHERE dataset_id IS NOT NULL) AS ranked WHERE publication_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    WHEN 'published' THEN RETURN QUERY
        SELECT start.key, found.kind, found.key, found.role, found.others
        FROM unnest(of_keys) AS start (key)
        CROSS JOIN LATERAL (
            (SELECT 'publication', CAST(publication_id AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM published_example WHERE published_example_id = CAST(start.key AS bigint))
            UNION ALL
            (SELECT 'row', dataset_id || '/' || row_id, CAST(CASE WHEN confidence = 1 THEN 'as its publisher states' ELSE 'likely, a guess: ' || least(greatest(round(CAST(confidence AS numeric), 2), 0.01), 0.99) END AS text), CAST(NULL AS bigint) FROM (SELECT dataset_id, row_id, published_example_id, max(confidence) AS confidence FROM likely_source GROUP BY dataset_id, row_id, published_example_id) AS likely WHERE published_example_id = CAST(start.key AS bigint) ORDER BY confidence DESC, dataset_id, row_id LIMIT most) UNION ALL
            (SELECT 'row', NULL, NULL, count(*) FROM (SELECT FROM (SELECT dataset_id, row_id, published_example_id, max(confidence) AS confidence FROM likely_source GROUP BY dataset_id, row_id, published_example_id) AS likely WHERE published_example_id = CAST(start.key AS bigint) OFFSET most LIMIT 100000) AS rest HAVING count(*) > 0)
        ) AS found (kind, key, role, others);
    ELSE RETURN;
    END CASE;
END $$;

COMMENT ON FUNCTION lineage.parents_of IS
'What records of a kind came from directly, at most so many of each kind for each. Where there are more, one row without a
key says how many others there are, counted up to 100,000.';

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

CREATE FUNCTION lineage.children(of_kind text, of_key text, most integer DEFAULT 100)
RETURNS TABLE (kind text, key text, role text, others bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT found.kind, found.key, found.role, found.others
    FROM lineage.children_of(of_kind, ARRAY[of_key], most) AS found;
END;

COMMENT ON FUNCTION lineage.children IS
'What came of a record directly, at most so many of each kind. Keys are as in lineage.describe. Where there are more, one
row without a key says how many others there are.';

CREATE FUNCTION lineage.parents(of_kind text, of_key text, most integer DEFAULT 100)
RETURNS TABLE (kind text, key text, role text, others bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT found.kind, found.key, found.role, found.others
    FROM lineage.parents_of(of_kind, ARRAY[of_key], most) AS found;
END;

COMMENT ON FUNCTION lineage.parents IS
'What a record came from directly, at most so many of each kind. Keys are as in lineage.describe. Where there are more,
one row without a key says how many others there are.';

CREATE FUNCTION lineage.trace(
    of_kind text, of_key text, direction text, most integer DEFAULT 10, most_records integer DEFAULT 500
)
RETURNS TABLE (depth integer, kind text, key text, next_kind text, next_key text, role text, others bigint)
-- Not the caller's: `lineage` has views of the names of tables.
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = public AS $$
#variable_conflict use_variable
DECLARE
    seen_kinds text[] := ARRAY[of_kind];
    seen_keys text[] := ARRAY[of_key];
    kinds text[] := ARRAY[of_kind];
    keys text[] := ARRAY[of_key];
    reached_kinds text[];
    reached_keys text[];
    each_kind text;
    step record;
BEGIN
    IF direction NOT IN ('up', 'down') THEN
        RAISE EXCEPTION 'direction is %, not up or down', direction USING ERRCODE = 'invalid_parameter_value';
    END IF;
    depth := 0;
    -- Level by level, all records of a kind at once; each record is followed once, however many lead to it.
    WHILE cardinality(keys) > 0 LOOP
        depth := depth + 1;
        reached_kinds := '{}';
        reached_keys := '{}';
        FOR each_kind IN SELECT DISTINCT waiting FROM unnest(kinds) AS waiting ORDER BY waiting LOOP
            FOR step IN
                SELECT found.*
                FROM (
                    SELECT array_agg(waiting.key ORDER BY waiting.place) AS of_keys
                    FROM unnest(kinds, keys) WITH ORDINALITY AS waiting (kind, key, place)
                    WHERE waiting.kind = each_kind
                ) AS level
                CROSS JOIN LATERAL (
                    SELECT * FROM lineage.children_of(each_kind, level.of_keys, most) WHERE direction = 'down'
                    UNION ALL
                    SELECT * FROM lineage.parents_of(each_kind, level.of_keys, most) WHERE direction = 'up'
                ) AS found
            LOOP
                kind := each_kind;
                key := step.of_key;
                next_kind := step.kind;
                next_key := step.key;
                role := step.role;
                others := step.others;
                RETURN NEXT;
                IF next_key IS NOT NULL THEN
                    reached_kinds := reached_kinds || next_kind;
                    reached_keys := reached_keys || next_key;
                END IF;
            END LOOP;
        END LOOP;
        -- Those of the level that are new, once for the whole level: record by record it would be as many looks at
        -- all that were seen.
        SELECT
            coalesce(array_agg(fresh.kind ORDER BY fresh.place), '{}'),
            coalesce(array_agg(fresh.key ORDER BY fresh.place), '{}')
        INTO kinds, keys
        FROM (
            SELECT reached.kind, reached.key, min(reached.place) AS place
            FROM unnest(reached_kinds, reached_keys) WITH ORDINALITY AS reached (kind, key, place)
            WHERE (reached.kind, reached.key) NOT IN (
                SELECT seen.kind, seen.key FROM unnest(seen_kinds, seen_keys) AS seen (kind, key)
            )
            GROUP BY reached.kind, reached.key
        ) AS fresh;
        seen_kinds := seen_kinds || kinds;
        seen_keys := seen_keys || keys;
        IF cardinality(seen_keys) > most_records AND cardinality(keys) > 0 THEN
            depth := depth + 1;
            kind := NULL;
            key := NULL;
            next_kind := NULL;
            next_key := NULL;
            role := 'not followed';
            others := cardinality(keys);
            RETURN NEXT;
            RETURN;
        END IF;
    END LOOP;
END $$;

COMMENT ON FUNCTION lineage.trace IS
'Everything a record came from (direction up) or led to (down), as edges from a record to the next in that direction: one
row an edge, at most so many of each kind at each record. Where there are more, a row without next_key says how many
others there are. Nothing is followed from the level on which most_records are passed; a last row without key says from
how many records.';
