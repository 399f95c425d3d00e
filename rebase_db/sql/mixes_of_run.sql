-- From which mixes of datasets the examples stem that a run has learned from, through example parents too, each example once.
SELECT dataset_ids, count(*) AS examples
FROM (
    SELECT array_agg(DISTINCT link.dataset_id ORDER BY link.dataset_id) AS dataset_ids
    FROM lineage.run_example AS learned
    INNER JOIN example ON example.example_id = learned.via_example_id
    INNER JOIN retrieval_link AS link ON link.link_id = example.link_id
    WHERE learned.training_run_id = :training_run_id
    GROUP BY learned.example_id
) AS mix
GROUP BY dataset_ids
ORDER BY dataset_ids
