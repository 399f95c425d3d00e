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
    seen text[] := ARRAY[of_kind || ':' || of_key];
    kinds text[] := ARRAY[of_kind];
    keys text[] := ARRAY[of_key];
    new_kinds text[];
    new_keys text[];
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
        new_kinds := '{}';
        new_keys := '{}';
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
                IF next_key IS NOT NULL AND NOT next_kind || ':' || next_key = ANY(seen) THEN
                    seen := seen || (next_kind || ':' || next_key);
                    new_kinds := new_kinds || next_kind;
                    new_keys := new_keys || next_key;
                END IF;
            END LOOP;
        END LOOP;
        IF cardinality(seen) > most_records AND cardinality(new_keys) > 0 THEN
            depth := depth + 1;
            kind := NULL;
            key := NULL;
            next_kind := NULL;
            next_key := NULL;
            role := 'not followed';
            others := cardinality(new_keys);
            RETURN NEXT;
            RETURN;
        END IF;
        kinds := new_kinds;
        keys := new_keys;
    END LOOP;
END $$;

COMMENT ON FUNCTION lineage.trace IS
'Everything a record came from (direction up) or led to (down), as edges from a record to the next in that direction: one
row an edge, at most so many of each kind at each record. Where there are more, a row without next_key says how many
others there are. Nothing is followed from the level on which most_records are passed; a last row without key says from
how many records.';
