CREATE VIEW lineage.training_set AS
SELECT
    training_set.training_set_id,
    training_set.name AS training_set,
    task.name AS task,
    task_version.version AS task_version,
    training_set.size,
    training_set.selection,
    encode(training_set.manifest_hash, 'hex') AS manifest_hash,
    predecessor.name AS successor_of,
    training_set.created_at
FROM training_set
INNER JOIN task_version USING (task_version_id)
INNER JOIN task USING (task_id)
LEFT JOIN training_set AS predecessor ON predecessor.training_set_id = training_set.successor_of;

COMMENT ON VIEW lineage.training_set IS 'One row a frozen training set.';
COMMENT ON COLUMN lineage.training_set.size IS 'number of its examples';
COMMENT ON COLUMN lineage.training_set.manifest_hash IS
'SHA-256 over the hashes of the task version and of its examples in order, in hex';
COMMENT ON COLUMN lineage.training_set.successor_of IS
'the set that this one repeats without what had been retracted since';
