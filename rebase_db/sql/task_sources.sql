-- Datasets by the number of a task's accepted examples that come from them.
SELECT dataset.name, count(*) AS examples
FROM retrieval_link AS link
INNER JOIN dataset USING (dataset_id)
WHERE
    link.task_version_id = :task_version_id
    AND link.encoder_id = :encoder_id
    AND link.displaced_by IS NULL
    AND link.retracted_at IS NULL
    AND link.state IN ('transformed', 'distilled')
GROUP BY dataset.name
ORDER BY examples DESC, dataset.name
