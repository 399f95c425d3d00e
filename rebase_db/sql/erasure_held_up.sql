-- Who may still see what a retraction has erased, as of before: while they last, vacuum cannot remove it. Sessions of others that
-- this user may not look into count too.
WITH since AS (
    SELECT age(retraction.xmin) AS transactions FROM retraction WHERE retraction.retraction_id = :retraction_id
)
SELECT CAST(activity.pid AS text) AS holder, coalesce(activity.application_name, '') AS detail
FROM pg_stat_activity AS activity
CROSS JOIN since
WHERE
    activity.pid <> pg_backend_pid()
    AND (activity.datname = current_database() OR activity.backend_type = 'walsender')
    AND (
        age(activity.backend_xmin) >= since.transactions
        OR activity.query = '<insufficient privilege>'
    )
UNION ALL
SELECT 'replication slot', slot.slot_name
FROM pg_replication_slots AS slot
CROSS JOIN since
WHERE age(slot.xmin) >= since.transactions
UNION ALL
SELECT 'prepared transaction', prepared.gid
FROM pg_prepared_xacts AS prepared
CROSS JOIN since
WHERE prepared.database = current_database() AND age(prepared.transaction) >= since.transactions
ORDER BY holder, detail
