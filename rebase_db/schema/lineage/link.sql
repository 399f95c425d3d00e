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
