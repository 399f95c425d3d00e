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
