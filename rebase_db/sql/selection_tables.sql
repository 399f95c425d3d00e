-- Work tables of one merge, emptied by the next.
CREATE TEMPORARY TABLE IF NOT EXISTS selection (
    dataset_id integer NOT NULL,
    row_id integer NOT NULL,
    input_column_id smallint NOT NULL,
    output_column_id smallint NOT NULL,
    input_score real NOT NULL,
    output_score real NOT NULL,
    dataset_score real NOT NULL,
    score double precision NOT NULL,
    rank integer NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS left_out (
    dataset_id integer NOT NULL,
    row_id integer NOT NULL,
    kept_dataset_id integer NOT NULL,
    kept_row_id integer NOT NULL
) ON COMMIT DELETE ROWS;
DELETE FROM selection;
DELETE FROM left_out
