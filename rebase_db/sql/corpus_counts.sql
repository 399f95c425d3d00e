-- The size of the corpus.
SELECT
    (SELECT count(*) FROM dataset) AS datasets,
    (SELECT coalesce(sum(last_row_id), 0) FROM dataset) - (SELECT count(*) FROM removed_row) AS rows,
    (SELECT coalesce(sum(cells_added), 0) FROM ingest) AS cells,
    (SELECT coalesce(sum(last_text_id), 0) FROM dataset) AS texts,
    (SELECT count(*) FROM example) AS examples
