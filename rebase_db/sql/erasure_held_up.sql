-- Sessions that may still see what a retraction has erased, as of before: while they last, vacuum cannot remove it.
SELECT activity.pid, coalesce(activity.application_name, '') AS application
FROM pg_stat_activity AS activity
CROSS JOIN retraction
WHERE
    retraction.retraction_id = :retraction_id
    AND activity.pid <> pg_backend_pid()
    AND (activity.datname = current_database() OR activity.backend_type = 'walsender')
    AND activity.backend_xmin IS NOT NULL
    AND age(activity.backend_xmin) >= age(retraction.xmin)
ORDER BY activity.pid
