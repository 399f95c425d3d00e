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
