-- What became of the rows of each split that was matched: of those that arrived, and of those that stood.
SELECT
    split_id,
    coalesce(arrived.brought, 0) AS brought,
    coalesce(arrived.changed, 0) AS changed,
    coalesce(arrived.unchanged, 0) AS unchanged,
    standing.unmatched
FROM (
    SELECT standing_row.split_id, count(*) FILTER (WHERE matched_row.row_id IS NULL) AS unmatched
    FROM standing_row
    LEFT JOIN matched_row USING (row_id)
    GROUP BY standing_row.split_id
) AS standing
LEFT JOIN (
    SELECT
        arrived_row.split_id,
        count(arrived_row.row_id) AS brought,
        count(*) FILTER (WHERE NOT matched_row.same) AS changed,
        count(*) FILTER (WHERE matched_row.same) AS unchanged
    FROM arrived_row
    LEFT JOIN matched_row USING (split_id, source_index)
    GROUP BY arrived_row.split_id
) AS arrived USING (split_id)
