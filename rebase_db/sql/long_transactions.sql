-- Sessions whose transaction has been open for :seconds, or idle for :idle_seconds: while they last, vacuum removes
-- nothing that died since, and claiming slows down. The longest first.
SELECT
    pid,
    coalesce(application_name, '') AS application,
    coalesce(state, backend_type) AS state,
    CAST(extract(EPOCH FROM clock_timestamp() - xact_start) AS double precision) AS seconds,
    age(backend_xmin) AS transactions_since
FROM pg_stat_activity
WHERE
    pid <> pg_backend_pid()
    AND backend_type IN ('client backend', 'walsender')
    AND (datname = current_database() OR datname IS NULL)
    AND (
        xact_start < clock_timestamp() - make_interval(secs => CAST(:seconds AS double precision))
        OR (
            state LIKE 'idle in transaction%'
            AND state_change < clock_timestamp() - make_interval(secs => CAST(:idle_seconds AS double precision))
        )
    )
ORDER BY xact_start
