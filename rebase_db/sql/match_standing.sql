-- The rows that stand in some splits, with what they are matched by: their place, or the hash of a column or of their key at
-- the source. Of an erased row the column has that hash.
INSERT INTO standing_row (split_id, row_id, source_index, match_key, content_hash)
SELECT
    split_id,
    row_id,
    source_index,
    CASE
        WHEN CAST(:match_by AS text) = 'index' THEN int8send(source_index)
        WHEN CAST(:match_by AS text) = 'key:__row_id' THEN sha256(convert_to(source_key, 'UTF8'))
        WHEN erased_by IS NULL THEN sha256(convert_to(content ->> substr(CAST(:match_by AS text), 5), 'UTF8'))
        ELSE decode(content ->> substr(CAST(:match_by AS text), 5), 'hex')
    END,
    content_hash
FROM source_row
WHERE dataset_id = :dataset_id AND split_id = ANY(CAST(:split_ids AS smallint [])) AND removed_at IS NULL
