-- Settles calls: frees what was set aside for them and counts what they took. A call whose tokens are null counts in full
-- as what was set aside; one for which nothing was set aside (the budget came after it was made) counts as well, but not
-- one that was presumed spent in the meantime (its worker was only slow). The budget's row is locked by the caller.
WITH call AS (
    SELECT *
    FROM unnest(
        CAST(:link_ids AS bigint[]), CAST(:attempts AS smallint[]), CAST(:tokens AS bigint[]), CAST(:costs AS numeric[])
    ) AS call (link_id, attempt, tokens, cost)
),

settled AS (
    UPDATE reservation AS held
    SET
        settled_at = clock_timestamp(),
        spent_tokens = coalesce(call.tokens, held.tokens),
        spent_cost = CASE WHEN call.tokens IS NULL THEN held.cost ELSE call.cost END,
        presumed = call.tokens IS NULL
    FROM call
    WHERE
        held.link_id = call.link_id
        AND held.attempt IS NOT DISTINCT FROM call.attempt
        AND held.worker_id = :worker_id
        AND held.settled_at IS NULL
    RETURNING held.link_id, held.tokens, held.cost, held.spent_tokens, held.spent_cost
),

freed AS (
    SELECT coalesce(sum(tokens), 0) AS tokens, coalesce(sum(cost), 0) AS cost FROM settled
),

spent AS (
    SELECT coalesce(sum(tokens), 0) AS tokens, coalesce(sum(cost), 0) AS cost
    FROM (
        SELECT spent_tokens AS tokens, spent_cost AS cost FROM settled
        UNION ALL
        SELECT call.tokens, call.cost
        FROM call
        WHERE
            call.link_id NOT IN (SELECT link_id FROM settled)
            AND NOT EXISTS (
                SELECT
                FROM reservation AS lost
                WHERE
                    lost.link_id = call.link_id
                    AND lost.attempt IS NOT DISTINCT FROM call.attempt
                    AND lost.worker_id = :worker_id
                    AND lost.presumed
            )
    ) AS each
)

UPDATE budget
SET
    spent_tokens = budget.spent_tokens + spent.tokens,
    spent_cost = budget.spent_cost + spent.cost,
    held_tokens = budget.held_tokens - freed.tokens,
    held_cost = budget.held_cost - freed.cost
FROM freed, spent
WHERE budget.task_id = :task_id
