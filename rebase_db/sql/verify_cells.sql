-- Rows whose cells are not their content, column by column; of an erased row its content has the texts' hashes.
WITH built AS (
    SELECT
        source_row.dataset_id,
        source_row.row_id,
        jsonb_object_agg(
            dataset_column.name,
            CASE WHEN source_row.erased_by IS NULL THEN text.text ELSE encode(text.sha256, 'hex') END
        ) AS content
    FROM source_row
    INNER JOIN cell USING (dataset_id, row_id)
    INNER JOIN dataset_column USING (dataset_id, column_id)
    INNER JOIN text USING (dataset_id, text_id)
    GROUP BY source_row.dataset_id, source_row.row_id
)

SELECT
    'source_row' AS record,
    jsonb_build_object('dataset_id', source_row.dataset_id, 'row_id', source_row.row_id) AS key,
    'its cells are not its content: '
    || coalesce(
        (
            SELECT string_agg(name, ', ' ORDER BY name)
            FROM
                (
                    SELECT jsonb_object_keys(compared.stated || compared.built) AS name
                ) AS names
            WHERE compared.stated -> name IS DISTINCT FROM compared.built -> name
        ),
        'no object'
    ) AS what,
    NULL AS expected,
    NULL AS found
FROM source_row
LEFT JOIN built USING (dataset_id, row_id)
CROSS JOIN LATERAL (
    SELECT
        CASE jsonb_typeof(source_row.content) WHEN 'object' THEN source_row.content ELSE '{}' END AS stated,
        coalesce(built.content, '{}') AS built
) AS compared
WHERE source_row.content IS DISTINCT FROM compared.built
