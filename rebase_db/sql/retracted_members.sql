-- Members of a training set whose row is retracted, or the row of an example that they were made from, with the standing
-- retractions.
SELECT makers.place AS position, makers.example_id, array_agg(DISTINCT retraction.retraction_id) AS retractions
FROM lineage.makers_of_set(:training_set_id) AS makers
INNER JOIN example ON example.example_id = makers.maker_id
INNER JOIN retrieval_link AS link ON link.link_id = example.link_id
INNER JOIN retracted_row ON retracted_row.dataset_id = link.dataset_id AND retracted_row.row_id = link.row_id
INNER JOIN retraction ON retraction.retraction_id = retracted_row.retraction_id
WHERE link.retracted_at IS NOT NULL AND retraction.undone_at IS NULL
GROUP BY makers.place, makers.example_id
ORDER BY makers.place
