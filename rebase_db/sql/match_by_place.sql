-- Of splits that were read whole: rows that are left over on both sides at the same place. The newer of two that stand there.
INSERT INTO matched_row (split_id, source_index, row_id, same)
SELECT DISTINCT ON (split_id, source_index)
    split_id,
    source_index,
    standing_row.row_id,
    false
FROM arrived_row
INNER JOIN standing_row USING (split_id, source_index)
WHERE
    split_id = ANY(CAST(:whole AS smallint []))
    AND arrived_row.erased_column IS NULL
    AND NOT EXISTS (
        SELECT FROM matched_row
        WHERE matched_row.split_id = arrived_row.split_id AND matched_row.source_index = arrived_row.source_index
    )
    AND NOT EXISTS (SELECT FROM matched_row WHERE matched_row.row_id = standing_row.row_id)
ORDER BY split_id, source_index, standing_row.row_id DESC
