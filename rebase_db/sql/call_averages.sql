-- What a call for a task version took so far, on average over those that were answered; nulls where that is not known.
SELECT
    avg(generation.prompt_tokens) AS prompt_tokens,
    avg(generation.completion_tokens) AS completion_tokens,
    avg(generation.cost) AS cost
FROM generation
INNER JOIN retrieval_link USING (link_id)
WHERE
    retrieval_link.task_version_id = :task_version_id
    AND retrieval_link.encoder_id = :encoder_id
    AND generation.outcome <> 'error'
    AND generation.reused_from IS NULL
