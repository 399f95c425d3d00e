-- The members of two training sets, each example once: in which it is, an example of the same content that only the other has,
-- and of one that only one has why the other has it not, as things stand now.
WITH both_sets AS (
    SELECT
        example_id,
        bool_or(member.training_set_id = :a) AS in_a,
        bool_or(member.training_set_id = :b) AS in_b
    FROM training_set_member AS member
    WHERE member.training_set_id IN (:a, :b)
    GROUP BY example_id
),

found AS (
    SELECT
        both_sets.example_id,
        both_sets.in_a,
        both_sets.in_b,
        example.content_hash,
        example.created_at,
        example.output,
        example.generation_id,
        example.link_id,
        other.task_version_id AS other_version,
        other.created_at AS other_frozen
    FROM both_sets
    INNER JOIN example USING (example_id)
    LEFT JOIN training_set AS other
        ON other.training_set_id = CASE WHEN NOT both_sets.in_b THEN :b WHEN NOT both_sets.in_a THEN :a END
),

alone AS (
    SELECT content_hash, in_a, in_b, min(example_id) AS example_id
    FROM found
    WHERE in_a <> in_b
    GROUP BY content_hash, in_a, in_b
)

SELECT
    found.example_id AS example,
    CASE WHEN found.in_a AND found.in_b THEN 'both' WHEN found.in_a THEN 'a' ELSE 'b' END AS only_in,
    dataset.name AS dataset,
    found.output AS label,
    twin.example_id AS same_content,
    CASE
        WHEN found.in_a AND found.in_b THEN NULL
        WHEN link.retracted_at IS NOT NULL OR above.retracted THEN 'retracted'
        WHEN source_row.removed_at IS NOT NULL THEN 'removed from its source'
        WHEN link.task_version_id <> found.other_version THEN 'of another version of the task'
        WHEN link.displaced_by IS NOT NULL THEN 'no longer ranked'
        WHEN generation.attempt < link.attempt THEN 'asked for again'
        WHEN link.state = 'rejected' THEN 'rejected by ' || split_part(coalesce(link.error, ''), ':', 1)
        WHEN found.created_at > found.other_frozen THEN 'made later'
        WHEN link.state IN ('transformed', 'distilled') THEN 'not accepted then'
        ELSE link.state
    END AS why
FROM found
INNER JOIN retrieval_link AS link USING (link_id)
INNER JOIN generation ON generation.generation_id = found.generation_id
INNER JOIN source_row ON source_row.dataset_id = link.dataset_id AND source_row.row_id = link.row_id
INNER JOIN dataset ON dataset.dataset_id = link.dataset_id
LEFT JOIN LATERAL (
    SELECT true AS retracted
    FROM lineage.ancestors_of(found.example_id) AS ancestor
    INNER JOIN example AS older ON older.example_id = ancestor.ancestor_id
    INNER JOIN retrieval_link AS its ON its.link_id = older.link_id
    WHERE its.retracted_at IS NOT NULL
    LIMIT 1
) AS above ON true
LEFT JOIN alone AS twin
    ON twin.content_hash = found.content_hash
    AND twin.in_a = found.in_b
    AND twin.in_b = found.in_a
    AND found.in_a <> found.in_b
ORDER BY only_in, found.example_id
