-- Texts that are not what their hash says.
SELECT
    'text' AS record,
    jsonb_build_object('dataset_id', dataset_id, 'text_id', text_id) AS key,
    'sha256 is not that of the text' AS what,
    encode(sha256(convert_to(text, 'UTF8')), 'hex') AS expected,
    encode(sha256, 'hex') AS found
FROM text
WHERE text IS NOT NULL AND sha256 IS DISTINCT FROM sha256(convert_to(text, 'UTF8'))
