-- Counts as spent what was set aside for calls that nobody will hear the end of: of links that are no longer in the hands
-- they were claimed by, and of judges whose worker is gone. The budget's row is locked by the caller.
WITH lost AS (
    SELECT held.reservation_id
    FROM reservation AS held
    WHERE
        held.task_id = :task_id
        AND held.settled_at IS NULL
        AND CASE
            WHEN held.attempt IS NOT NULL THEN NOT EXISTS (
                SELECT
                FROM retrieval_link AS link
                WHERE
                    link.link_id = held.link_id
                    AND link.state = 'transforming'
                    AND link.attempt = held.attempt
                    AND link.worker_id = held.worker_id
            )
            ELSE EXISTS (
                SELECT
                FROM worker
                WHERE
                    worker.worker_id = held.worker_id
                    AND (
                        worker.stopped_at IS NOT NULL
                        OR worker.heartbeat_at < clock_timestamp() - CAST(:lease AS interval)
                    )
            )
        END
    FOR UPDATE SKIP LOCKED
),

presumed AS (
    UPDATE reservation
    SET settled_at = clock_timestamp(), spent_cost = cost, spent_tokens = tokens, presumed = true
    FROM lost
    WHERE reservation.reservation_id = lost.reservation_id
    RETURNING reservation.cost, reservation.tokens
),

total AS (
    SELECT coalesce(sum(cost), 0) AS cost, coalesce(sum(tokens), 0) AS tokens FROM presumed
)

UPDATE budget
SET
    spent_cost = budget.spent_cost + total.cost,
    spent_tokens = budget.spent_tokens + total.tokens,
    held_cost = budget.held_cost - total.cost,
    held_tokens = budget.held_tokens - total.tokens
FROM total
WHERE budget.task_id = :task_id
RETURNING
    budget.max_cost - budget.spent_cost - budget.held_cost AS cost,
    budget.max_tokens - budget.spent_tokens - budget.held_tokens AS tokens,
    budget.max_examples AS examples,
    budget.held_tokens > 0 AS holding
