-- The datasets whose rows trained a run, with the number of their examples and their licence.
SELECT dataset.name AS dataset, count(*) AS examples, coalesce(dataset.licence, '') AS licence
FROM training_run AS run
INNER JOIN training_set_member AS member USING (training_set_id)
INNER JOIN example USING (example_id)
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN dataset USING (dataset_id)
WHERE run.training_run_id = :training_run_id
GROUP BY dataset.name, dataset.licence
ORDER BY examples DESC, dataset.name
