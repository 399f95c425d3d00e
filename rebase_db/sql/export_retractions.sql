-- The retractions that stand over rows behind some training sets, with the members they concern.
SELECT
    retraction.retraction_id,
    retraction.kind,
    retraction.target,
    retraction.reason,
    retraction.created_at,
    retraction.erased_at,
    count(DISTINCT makers.example_id) AS examples
FROM unnest(CAST(:training_set_ids AS integer [])) AS asked (training_set_id)
CROSS JOIN LATERAL lineage.makers_of_set(asked.training_set_id) AS makers
INNER JOIN example ON example.example_id = makers.maker_id
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN retracted_row USING (dataset_id, row_id)
INNER JOIN retraction USING (retraction_id)
WHERE retraction.undone_at IS NULL
GROUP BY retraction.retraction_id
ORDER BY retraction.retraction_id
