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
