-- Work tables of one retraction or one report on it, emptied by the next: the rows it covers; the examples made of them, or of
-- such examples; and the texts that would go with them.
CREATE TEMPORARY TABLE IF NOT EXISTS covered_row (
    dataset_id integer NOT NULL,
    row_id integer NOT NULL,
    PRIMARY KEY (dataset_id, row_id)
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS covered_example (
    example_id bigint PRIMARY KEY,
    link_id bigint NOT NULL,
    generation_id bigint NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS covered_text (
    dataset_id integer NOT NULL,
    text_id integer NOT NULL,
    PRIMARY KEY (dataset_id, text_id)
) ON COMMIT DELETE ROWS;
DELETE FROM covered_row;
DELETE FROM covered_example;
DELETE FROM covered_text
