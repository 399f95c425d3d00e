-- Put on record from which mixes of datasets the members of a new training set stem, through example parents too.
INSERT INTO training_set_mix (training_set_id, dataset_ids, examples)
SELECT :training_set_id, dataset_ids, count(*)
FROM (
    SELECT array_agg(DISTINCT link.dataset_id ORDER BY link.dataset_id) AS dataset_ids
    FROM lineage.makers_of_set(:training_set_id) AS makers
    INNER JOIN example ON example.example_id = makers.maker_id
    INNER JOIN retrieval_link AS link ON link.link_id = example.link_id
    GROUP BY makers.example_id
) AS mix
GROUP BY dataset_ids
ORDER BY dataset_ids
