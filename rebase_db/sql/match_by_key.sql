-- Rows that arrived and rows that stand with the same key. One that holds an erased text is a row only where it stands already.
INSERT INTO matched_row (split_id, source_index, row_id, same)
SELECT split_id, arrived_row.source_index, standing_row.row_id, arrived_row.content_hash = standing_row.content_hash
FROM arrived_row
INNER JOIN standing_row USING (split_id, match_key)
WHERE arrived_row.content_hash = standing_row.content_hash OR arrived_row.erased_column IS NULL
