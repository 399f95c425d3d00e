-- What is in the corpus, a row a dataset, of rows those that its sources have; with the retraction by which one is withdrawn
-- whole.
SELECT
    dataset.name,
    dataset.licence,
    (SELECT count(*) FROM dataset_split WHERE dataset_split.dataset_id = dataset.dataset_id) AS splits,
    dataset.last_row_id
    - (SELECT count(*) FROM removed_row WHERE removed_row.dataset_id = dataset.dataset_id) AS rows,
    dataset.last_text_id AS texts,
    (SELECT coalesce(sum(cells_added), 0) FROM ingest WHERE ingest.dataset_id = dataset.dataset_id) AS cells,
    (SELECT max(ingest.created_at) FROM ingest WHERE ingest.dataset_id = dataset.dataset_id) AS last_ingest,
    (
        SELECT min(retraction.retraction_id)
        FROM retracted_dataset
        INNER JOIN retraction USING (retraction_id)
        WHERE retracted_dataset.dataset_id = dataset.dataset_id AND retraction.undone_at IS NULL
    ) AS withdrawn_by,
    dataset.uri
FROM dataset
ORDER BY dataset.name
