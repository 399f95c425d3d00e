-- Whether any row that arrived is one that stands.
SELECT EXISTS (SELECT FROM matched_row)
