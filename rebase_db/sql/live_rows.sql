-- Rows that compete in retrieval.
SELECT count(*) FROM source_row WHERE retracted_at IS NULL
