-- Numbers the rows that arrived with the content of one that stands, but are another row: a copy more, or under another key.
UPDATE arrived_row
SET row_id = :last_row_id + fresh.place
FROM (
    SELECT split_id, source_index, row_number() OVER (ORDER BY split_id, source_index) AS place
    FROM arrived_row
    LEFT JOIN matched_row USING (split_id, source_index)
    WHERE arrived_row.row_id IS NULL AND arrived_row.erased_column IS NULL AND matched_row.same IS NOT TRUE
) AS fresh
WHERE arrived_row.split_id = fresh.split_id AND arrived_row.source_index = fresh.source_index
