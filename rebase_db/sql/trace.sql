-- What a record came from and what it led to, in steps, and what every record on the way is called: one row of two lists.
WITH step AS MATERIALIZED (
    SELECT 'up' AS direction, found.*
    FROM lineage.trace(:kind, :key, 'up', :most, :most_records) WITH ORDINALITY
        AS found (depth, kind, key, next_kind, next_key, role, others, place)
    WHERE :up
    UNION ALL
    SELECT 'down' AS direction, found.*
    FROM lineage.trace(:kind, :key, 'down', :most, :most_records) WITH ORDINALITY
        AS found (depth, kind, key, next_kind, next_key, role, others, place)
    WHERE :down
),

record AS (
    SELECT :kind AS kind, :key AS key
    UNION
    SELECT next_kind, next_key FROM step WHERE next_key IS NOT NULL
),

described AS (
    SELECT of_kind.kind, found.key, found.reference, found.description
    FROM (SELECT kind, array_agg(key) AS keys FROM record GROUP BY kind) AS of_kind
    CROSS JOIN LATERAL lineage.describe(of_kind.kind, of_kind.keys) AS found
)

SELECT
    (SELECT coalesce(jsonb_agg(to_jsonb(step) ORDER BY step.direction, step.place), '[]') FROM step) AS steps,
    (SELECT jsonb_agg(to_jsonb(described)) FROM described) AS records
