-- Records which new row stands for which removed one, whose content changed.
INSERT INTO changed_row (dataset_id, row_id, previous_row_id)
SELECT :dataset_id, arrived_row.row_id, matched_row.row_id
FROM matched_row
INNER JOIN arrived_row USING (split_id, source_index)
WHERE NOT matched_row.same
ORDER BY arrived_row.row_id
