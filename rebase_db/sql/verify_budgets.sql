-- Budgets whose sums are not those of what was set aside and spent. What is spent is that of settled reservations, and of
-- calls without one: those from before the budget. Of a call that failed, or without all its numbers, it depends on when it
-- was made whether it counted; then anything between is right.
WITH of_task AS (
    SELECT retrieval_link.link_id, task_version.task_id
    FROM retrieval_link
    INNER JOIN task_version USING (task_version_id)
    INNER JOIN budget USING (task_id)
),

call AS (
    SELECT
        of_task.task_id,
        coalesce(generation.prompt_tokens, 0) + coalesce(generation.completion_tokens, 0) AS tokens,
        coalesce(generation.cost, 0) AS cost,
        generation.outcome <> 'error'
        AND NOT generation.maybe_billed
        AND num_nulls(generation.prompt_tokens, generation.completion_tokens) IN (0, 2) AS counted
    FROM generation
    INNER JOIN of_task USING (link_id)
    WHERE
        NOT EXISTS (
            SELECT
            FROM reservation
            WHERE reservation.link_id = generation.link_id AND reservation.attempt = generation.attempt
        )
    UNION ALL
    SELECT
        of_task.task_id,
        coalesce(judgement.prompt_tokens, 0) + coalesce(judgement.completion_tokens, 0),
        coalesce(judgement.cost, 0),
        judgement.outcome <> 'error'
        AND NOT judgement.maybe_billed
        AND num_nulls(judgement.prompt_tokens, judgement.completion_tokens) IN (0, 2)
    FROM judgement
    INNER JOIN example USING (example_id)
    INNER JOIN of_task USING (link_id)
    WHERE
        NOT EXISTS (
            SELECT
            FROM reservation
            WHERE
                reservation.link_id = example.link_id
                AND reservation.attempt IS NULL
                AND reservation.worker_id = judgement.worker_id
                AND reservation.created_at <= judgement.created_at
                AND (reservation.presumed OR reservation.settled_at >= judgement.created_at)
        )
),

called AS (
    SELECT
        task_id,
        sum(tokens) AS tokens,
        sum(cost) AS cost,
        sum(tokens) FILTER (WHERE counted) AS least_tokens,
        sum(cost) FILTER (WHERE counted) AS least_cost
    FROM call
    GROUP BY task_id
),

reserved AS (
    SELECT
        task_id,
        sum(tokens) FILTER (WHERE settled_at IS NULL) AS held_tokens,
        sum(cost) FILTER (WHERE settled_at IS NULL) AS held_cost,
        sum(spent_tokens) AS spent_tokens,
        sum(spent_cost) AS spent_cost
    FROM reservation
    GROUP BY task_id
)

SELECT
    'budget' AS record,
    jsonb_build_object('task_id', budget.task_id) AS key,
    fault.what,
    CASE WHEN fault.least = fault.most THEN '' ELSE fault.least || ' to ' END || fault.most AS expected,
    fault.found::text AS found
FROM budget
LEFT JOIN called USING (task_id)
LEFT JOIN reserved USING (task_id)
CROSS JOIN LATERAL (
    VALUES
    (
        'held_tokens is not the sum of what is set aside',
        coalesce(reserved.held_tokens, 0),
        coalesce(reserved.held_tokens, 0),
        budget.held_tokens
    ),
    (
        'held_cost is not the sum of what is set aside',
        coalesce(reserved.held_cost, 0),
        coalesce(reserved.held_cost, 0),
        budget.held_cost
    ),
    (
        'spent_tokens is not the sum of what calls took',
        coalesce(reserved.spent_tokens, 0) + coalesce(called.least_tokens, 0),
        coalesce(reserved.spent_tokens, 0) + coalesce(called.tokens, 0),
        budget.spent_tokens
    ),
    (
        'spent_cost is not the sum of what calls took',
        coalesce(reserved.spent_cost, 0) + coalesce(called.least_cost, 0),
        coalesce(reserved.spent_cost, 0) + coalesce(called.cost, 0),
        budget.spent_cost
    )
) AS fault (what, least, most, found)
WHERE fault.found NOT BETWEEN fault.least AND fault.most
