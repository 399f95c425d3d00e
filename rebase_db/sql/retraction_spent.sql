-- What was made of covered rows, and what it took: examples, calls of teachers, and calls of judges about the examples.
WITH call AS (
    SELECT generation.cost, generation.prompt_tokens, generation.completion_tokens, false AS judge
    FROM covered_row
    INNER JOIN retrieval_link AS link ON link.dataset_id = covered_row.dataset_id AND link.row_id = covered_row.row_id
    INNER JOIN generation ON generation.link_id = link.link_id
    UNION ALL
    SELECT judgement.cost, judgement.prompt_tokens, judgement.completion_tokens, true
    FROM covered_example
    INNER JOIN judgement ON judgement.example_id = covered_example.example_id
)
SELECT
    (SELECT count(*) FROM covered_example) AS examples,
    count(*) FILTER (WHERE NOT judge) AS calls,
    count(*) FILTER (WHERE judge) AS judgements,
    coalesce(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)), 0) AS tokens,
    sum(cost) AS cost
FROM call
