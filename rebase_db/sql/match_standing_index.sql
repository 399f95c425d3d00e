-- For looking up what arrives among the rows that stand.
CREATE INDEX ON standing_row (content_hash);
ANALYZE standing_row
