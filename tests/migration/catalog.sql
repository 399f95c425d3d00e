-- All that a schema is made of, but Alembic's own table and what belongs to an extension: kind, name and definition.
-- Alembic's comparison sees neither CHECKs nor predicates of indexes nor triggers nor functions, hence this one.
WITH
schema AS (
    SELECT oid, CASE nspname WHEN 'public' THEN '' ELSE nspname || '.' END AS prefix
    FROM pg_namespace WHERE nspname IN ('public', 'lineage')
),
relation AS (
    SELECT pg_class.*, prefix
    FROM pg_class JOIN schema ON schema.oid = relnamespace
    WHERE relname NOT LIKE 'alembic_version%'
),
extended AS (SELECT objid FROM pg_depend WHERE deptype = 'e')
SELECT
    'tables', relname::text,
    format('%s persistence %s replica identity %s %s', relkind, relpersistence, relreplident, reloptions)
FROM relation WHERE relkind IN ('r', 'p')
UNION ALL
SELECT
    'columns', format('%s.%s', relname, attname),
    format(
        '%s not null %s identity %s generated %s storage %s compression %s collation %s default %s',
        format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, attstorage, attcompression,
        attcollation, pg_get_expr(adbin, adrelid)
    )
FROM relation
JOIN pg_attribute ON attrelid = relation.oid
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT
    'constraints', format('%s.%s', relname, conname),
    format('%s validated %s %s', contype, convalidated, pg_get_constraintdef(pg_constraint.oid))
FROM relation JOIN pg_constraint ON conrelid = relation.oid
UNION ALL
SELECT 'indexes', relname::text, format('valid %s %s', indisvalid, pg_get_indexdef(indexrelid))
FROM relation JOIN pg_index ON indexrelid = relation.oid
UNION ALL
SELECT
    'triggers', format('%s.%s', relname, tgname),
    format('enabled %s %s', tgenabled, pg_get_triggerdef(pg_trigger.oid))
FROM relation JOIN pg_trigger ON tgrelid = relation.oid
WHERE NOT tgisinternal
UNION ALL
SELECT
    'functions', pg_proc.oid::regprocedure::text,
    format(
        'returns %s rows %s language %s %s strict %s definer %s %s %s',
        pg_get_function_result(pg_proc.oid), prorows, lanname, provolatile, proisstrict, prosecdef, proconfig,
        coalesce(pg_get_function_sqlbody(pg_proc.oid), prosrc)
    )
FROM pg_proc JOIN pg_language ON prolang = pg_language.oid
WHERE pronamespace IN (SELECT oid FROM schema) AND pg_proc.oid NOT IN (SELECT objid FROM extended)
UNION ALL
SELECT
    'types', typname::text,
    format('%s %s', typtype, (
        SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = pg_type.oid
    ))
FROM pg_type
WHERE
    typnamespace IN (SELECT oid FROM schema) AND typtype IN ('e', 'd')
    AND oid NOT IN (SELECT objid FROM extended)
UNION ALL
SELECT 'views', prefix || relname, pg_get_viewdef(oid)
FROM relation WHERE relkind IN ('v', 'm')
UNION ALL
SELECT 'comments', pg_describe_object(classoid, objoid, objsubid), description
FROM pg_description
WHERE
    (classoid = 'pg_class'::regclass AND objoid IN (SELECT oid FROM relation))
    OR (classoid = 'pg_namespace'::regclass AND objoid IN (SELECT oid FROM schema WHERE prefix <> ''))
    OR (
        classoid = 'pg_proc'::regclass AND objoid NOT IN (SELECT objid FROM extended)
        AND objoid IN (SELECT oid FROM pg_proc WHERE pronamespace IN (SELECT oid FROM schema))
    )
UNION ALL
SELECT
    'sequences', relname::text,
    format(
        '%s from %s by %s, %s to %s, cache %s cycle %s',
        seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle
    )
FROM relation JOIN pg_sequence ON seqrelid = relation.oid
