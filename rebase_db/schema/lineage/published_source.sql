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
