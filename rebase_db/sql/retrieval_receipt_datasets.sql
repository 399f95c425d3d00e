-- What a retrieval did to each dataset.
SELECT
    dataset.name AS dataset,
    part.ranked,
    part.scored,
    part.entered,
    part.returned,
    part.kept,
    part.displaced
FROM retrieval_dataset AS part
INNER JOIN dataset USING (dataset_id)
WHERE part.retrieval_id = :retrieval_id
ORDER BY dataset.name
