-- The part scores that are stored for a task version, packed as big-endian numbers in order of dataset and row. What an array
-- begins with as it is sent (20 bytes) is left out; a length stands before each element.
SELECT
    string_agg(int4send(dataset_id), '' ORDER BY dataset_id) AS dataset_ids,
    string_agg(int4send(cardinality(row_ids)), '' ORDER BY dataset_id) AS lengths,
    string_agg(int4send(retrieval_id), '' ORDER BY dataset_id) AS retrieval_ids,
    string_agg(float4send(dataset_score), '' ORDER BY dataset_id) AS dataset_scores,
    string_agg(substr(array_send(row_ids), 21), '' ORDER BY dataset_id) AS row_ids,
    string_agg(substr(array_send(input_scores), 21), '' ORDER BY dataset_id) AS input_scores,
    string_agg(substr(array_send(output_scores), 21), '' ORDER BY dataset_id) AS output_scores,
    string_agg(substr(array_send(input_columns), 21), '' ORDER BY dataset_id) AS input_columns,
    string_agg(substr(array_send(output_columns), 21), '' ORDER BY dataset_id) AS output_columns
FROM row_score
WHERE task_version_id = %(task_version_id)s AND encoder_id = %(encoder_id)s
HAVING count(*) > 0
