-- Work tables of one load: the rows that stand in the splits it reads; the rows its source has, with the number of those
-- that are stored already; and which of the one are which of the other.
CREATE TEMPORARY TABLE standing_row (
    split_id smallint NOT NULL,
    row_id integer NOT NULL,
    source_index bigint NOT NULL,
    match_key bytea,
    content_hash bytea NOT NULL
) ON COMMIT DROP;
CREATE TEMPORARY TABLE arrived_row (
    split_id smallint NOT NULL,
    source_index bigint NOT NULL,
    row_id integer,
    match_key bytea,
    content_hash bytea NOT NULL,
    source_key text,
    erased_column text
) ON COMMIT DROP;
CREATE TEMPORARY TABLE matched_row (
    split_id smallint NOT NULL,
    source_index bigint NOT NULL,
    row_id integer NOT NULL UNIQUE,
    same boolean NOT NULL,
    PRIMARY KEY (split_id, source_index)
) ON COMMIT DROP
