-- Rows that were never linked to this task version under this encoder enter; how many of which dataset.
WITH entered AS (
    INSERT INTO retrieval_link (
        task_version_id, encoder_id, dataset_id, row_id, input_column_id, output_column_id,
        input_score, output_score, dataset_score, score, rank, entered_by, state
    )
    SELECT
        :task_version_id, :encoder_id, dataset_id, row_id, input_column_id, output_column_id,
        input_score, output_score, dataset_score, score, rank, :retrieval_id, 'retrieved'
    FROM selection
    ORDER BY rank
    ON CONFLICT (task_version_id, encoder_id, dataset_id, row_id) DO NOTHING
    RETURNING dataset_id
)

SELECT dataset_id, count(*)
FROM entered
GROUP BY dataset_id
