-- Training sets whose size or positions are not those of their members, members of another task version, and versions of
-- tasks that are not counted from 1.
SELECT
    'training_set' AS record,
    jsonb_build_object('training_set_id', training_set.training_set_id) AS key,
    fault.what,
    fault.expected::text AS expected,
    fault.found::text AS found
FROM training_set
LEFT JOIN (
    SELECT training_set_id, count(*) AS number, min(position) AS first, max(position) AS last
    FROM training_set_member
    GROUP BY training_set_id
) AS members USING (training_set_id)
CROSS JOIN LATERAL (
    VALUES
    ('size is not the number of its members', coalesce(members.number, 0), training_set.size),
    ('its first position', 1, members.first),
    ('its last position', training_set.size, members.last)
) AS fault (what, expected, found)
WHERE fault.expected <> fault.found
UNION ALL
SELECT
    'training_set_member',
    jsonb_build_object('training_set_id', member.training_set_id, 'position', member.position),
    'its example is not one of the set''s task version',
    training_set.task_version_id::text,
    link.task_version_id::text
FROM training_set_member AS member
INNER JOIN training_set USING (training_set_id)
INNER JOIN example USING (example_id)
INNER JOIN retrieval_link AS link USING (link_id)
WHERE link.task_version_id <> training_set.task_version_id
UNION ALL
SELECT
    'task_version',
    jsonb_build_object('task_version_id', counted.task_version_id),
    'version leaves a gap',
    counted.place::text,
    counted.version::text
FROM (
    SELECT task_version_id, version, row_number() OVER (PARTITION BY task_id ORDER BY version) AS place
    FROM task_version
) AS counted
WHERE counted.place <> counted.version
