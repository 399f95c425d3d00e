-- Rows that arrived with a text that was erased, and do not stand already: they are left out.
SELECT arrived_row.split_id, arrived_row.source_index, arrived_row.erased_column
FROM arrived_row
LEFT JOIN matched_row USING (split_id, source_index)
WHERE arrived_row.erased_column IS NOT NULL AND matched_row.row_id IS NULL
ORDER BY arrived_row.split_id, arrived_row.source_index
