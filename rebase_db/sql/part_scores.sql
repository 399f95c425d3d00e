-- The part scores that are kept for a task version under an encoder, dataset by dataset, arrays as their senders write them.
SELECT dataset_id, dataset_score, array_send(row_ids), array_send(input_scores), array_send(output_scores)
FROM row_score
WHERE task_version_id = %(task_version_id)s AND encoder_id = %(encoder_id)s
ORDER BY dataset_id
