-- Training sets that do not have what is on record of the mixes of datasets their members stem from.
WITH mix AS (
    SELECT
        training_set.training_set_id,
        makers.example_id,
        array_agg(DISTINCT link.dataset_id ORDER BY link.dataset_id) AS dataset_ids
    FROM training_set
    CROSS JOIN LATERAL lineage.makers_of_set(training_set.training_set_id) AS makers
    INNER JOIN example ON example.example_id = makers.maker_id
    INNER JOIN retrieval_link AS link ON link.link_id = example.link_id
    GROUP BY training_set.training_set_id, makers.example_id
),

counted AS (
    SELECT training_set_id, dataset_ids, count(*) AS examples
    FROM mix
    GROUP BY training_set_id, dataset_ids
)

SELECT
    'training_set_mix' AS record,
    jsonb_build_object('training_set_id', training_set_id, 'dataset_ids', dataset_ids) AS key,
    'examples is not the number of the members that stem from these datasets' AS what,
    counted.examples::text AS expected,
    training_set_mix.examples::text AS found
FROM counted
FULL JOIN training_set_mix USING (training_set_id, dataset_ids)
WHERE counted.examples IS DISTINCT FROM training_set_mix.examples
