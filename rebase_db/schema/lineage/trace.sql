CREATE FUNCTION lineage.children(of_kind text, of_key text, most integer DEFAULT 100)
RETURNS TABLE (kind text, key text, role text, others bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT found.kind, found.key, found.role, found.others
    FROM lineage.children_of(of_kind, ARRAY[of_key], most) AS found;
END;

COMMENT ON FUNCTION lineage.children IS
'What came of a record directly, at most so many of each kind. Keys are as in lineage.describe. Where there are more, one
row without a key says how many others there are.';

CREATE FUNCTION lineage.parents(of_kind text, of_key text, most integer DEFAULT 100)
RETURNS TABLE (kind text, key text, role text, others bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT found.kind, found.key, found.role, found.others
    FROM lineage.parents_of(of_kind, ARRAY[of_key], most) AS found;
END;

COMMENT ON FUNCTION lineage.parents IS
'What a record came from directly, at most so many of each kind. Keys are as in lineage.describe. Where there are more,
one row without a key says how many others there are.';

CREATE FUNCTION lineage.trace(
    of_kind text, of_key text, direction text, most integer DEFAULT 10, most_records integer DEFAULT 500
)
RETURNS TABLE (depth integer, kind text, key text, next_kind text, next_key text, role text, others bigint)
-- Not the caller's: `lineage` has views of the names of tables.
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = public AS $$
#variable_conflict use_variable
DECLARE
    seen_kinds text[] := ARRAY[of_kind];
    seen_keys text[] := ARRAY[of_key];
    kinds text[] := ARRAY[of_kind];
    keys text[] := ARRAY[of_key];
    reached_kinds text[];
    reached_keys text[];
    each_kind text;
    step record;
BEGIN
    IF direction NOT IN ('up', 'down') THEN
        RAISE EXCEPTION 'direction is %, not up or down', direction USING ERRCODE = 'invalid_parameter_value';
    END IF;
    depth := 0;
    -- Level by level, all records of a kind at once; each record is followed once, however many lead to it.
    WHILE cardinality(keys) > 0 LOOP
        depth := depth + 1;
        reached_kinds := '{}';
        reached_keys := '{}';
        FOR each_kind IN SELECT DISTINCT waiting FROM unnest(kinds) AS waiting ORDER BY waiting LOOP
            FOR step IN
                SELECT found.*
                FROM (
                    SELECT array_agg(waiting.key ORDER BY waiting.place) AS of_keys
                    FROM unnest(kinds, keys) WITH ORDINALITY AS waiting (kind, key, place)
                    WHERE waiting.kind = each_kind
                ) AS level
                CROSS JOIN LATERAL (
                    SELECT * FROM lineage.children_of(each_kind, level.of_keys, most) WHERE direction = 'down'
                    UNION ALL
                    SELECT * FROM lineage.parents_of(each_kind, level.of_keys, most) WHERE direction = 'up'
                ) AS found
            LOOP
                kind := each_kind;
                key := step.of_key;
                next_kind := step.kind;
                next_key := step.key;
                role := step.role;
                others := step.others;
                RETURN NEXT;
                IF next_key IS NOT NULL THEN
                    reached_kinds := reached_kinds || next_kind;
                    reached_keys := reached_keys || next_key;
                END IF;
            END LOOP;
        END LOOP;
        -- Those of the level that are new, once for the whole level: record by record it would be as many looks at
        -- all that were seen.
        SELECT
            coalesce(array_agg(fresh.kind ORDER BY fresh.place), '{}'),
            coalesce(array_agg(fresh.key ORDER BY fresh.place), '{}')
        INTO kinds, keys
        FROM (
            SELECT reached.kind, reached.key, min(reached.place) AS place
            FROM unnest(reached_kinds, reached_keys) WITH ORDINALITY AS reached (kind, key, place)
            WHERE (reached.kind, reached.key) NOT IN (
                SELECT seen.kind, seen.key FROM unnest(seen_kinds, seen_keys) AS seen (kind, key)
            )
            GROUP BY reached.kind, reached.key
        ) AS fresh;
        seen_kinds := seen_kinds || kinds;
        seen_keys := seen_keys || keys;
        IF cardinality(seen_keys) > most_records AND cardinality(keys) > 0 THEN
            depth := depth + 1;
            kind := NULL;
            key := NULL;
            next_kind := NULL;
            next_key := NULL;
            role := 'not followed';
            others := cardinality(keys);
            RETURN NEXT;
            RETURN;
        END IF;
    END LOOP;
END $$;

COMMENT ON FUNCTION lineage.trace IS
'Everything a record came from (direction up) or led to (down), as edges from a record to the next in that direction: one
row an edge, at most so many of each kind at each record. Where there are more, a row without next_key says how many
others there are. Nothing is followed from the level on which most_records are passed; a last row without key says from
how many records.';
