CREATE FUNCTION lineage.sources_of(of_example bigint)
RETURNS SETOF lineage.example_source
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT * FROM lineage.example_source WHERE example_id = of_example;
END;

COMMENT ON FUNCTION lineage.sources_of IS 'The rows of example_source of one example.';
