-- The first rows of a side of a match that have no key, or the same one: of what arrived, or of what stands.
SELECT split_id, min(source_index) AS first, max(source_index) AS last, match_key IS NULL AS missing
FROM (
    SELECT split_id, source_index, match_key FROM arrived_row WHERE :arrived
    UNION ALL
    SELECT split_id, source_index, match_key FROM standing_row WHERE NOT :arrived
) AS side
GROUP BY split_id, match_key
HAVING match_key IS NULL OR count(*) > 1
ORDER BY split_id, first
LIMIT 1
