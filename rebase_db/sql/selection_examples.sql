-- Some examples counted by the dataset of their row and by their output.
SELECT dataset.name AS dataset, example.output, count(*) AS examples
FROM example
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN dataset USING (dataset_id)
WHERE example.example_id = ANY(CAST(:example_ids AS bigint []))
GROUP BY dataset.name, example.output
ORDER BY dataset.name, example.output
