CREATE FUNCTION lineage.reached_by(of_dataset integer, of_row integer)
RETURNS TABLE (kind text, id bigint, reference text)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH reached AS (
        SELECT DISTINCT example_id FROM lineage.row_example WHERE dataset_id = of_dataset AND row_id = of_row
    ),

    containing AS (
        SELECT DISTINCT member.training_set_id FROM reached INNER JOIN training_set_member AS member USING (example_id)
    ),

    trained AS (
        SELECT DISTINCT learned.training_run_id FROM containing INNER JOIN lineage.run_set AS learned USING (training_set_id)
    )

    SELECT 'link', link_id, 'link:' || link_id
    FROM retrieval_link
    WHERE dataset_id = of_dataset AND row_id = of_row
    UNION ALL
    SELECT 'call', generation.generation_id, 'call:' || generation.generation_id
    FROM retrieval_link
    INNER JOIN generation USING (link_id)
    WHERE retrieval_link.dataset_id = of_dataset AND retrieval_link.row_id = of_row
    UNION ALL
    SELECT 'example', example_id, 'example:' || example_id
    FROM reached
    UNION ALL
    SELECT 'set', training_set.training_set_id, 'set:' || training_set.name
    FROM containing
    INNER JOIN training_set USING (training_set_id)
    UNION ALL
    SELECT 'run', trained.training_run_id, 'run:' || trained.training_run_id
    FROM trained
    UNION ALL
    SELECT 'evaluation', evaluation.evaluation_id, 'evaluation:' || evaluation.evaluation_id
    FROM trained
    INNER JOIN evaluation USING (training_run_id);
END;

COMMENT ON FUNCTION lineage.reached_by IS
'All that a source row reached, given by dataset_id and row_id: one row a link, call, example, set, run or evaluation,
with its reference as commands take it.';
