-- Frozen sets with examples of covered rows: how many, and the share.
SELECT
    training_set.training_set_id,
    training_set.name,
    task.name AS task,
    found.examples,
    training_set.size,
    CAST(found.examples AS double precision) / training_set.size AS share
FROM (
    SELECT member.training_set_id, count(*) AS examples
    FROM covered_example
    INNER JOIN training_set_member AS member ON member.example_id = covered_example.example_id
    GROUP BY member.training_set_id
) AS found
INNER JOIN training_set ON training_set.training_set_id = found.training_set_id
INNER JOIN task_version ON task_version.task_version_id = training_set.task_version_id
INNER JOIN task ON task.task_id = task_version.task_id
ORDER BY share DESC, training_set.training_set_id
