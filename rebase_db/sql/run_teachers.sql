-- The teachers and prompts behind a run's examples, most used first.
SELECT teacher.provider, teacher.model, prompt.content_hash AS prompt_hash
FROM training_run AS run
INNER JOIN training_set_member AS member USING (training_set_id)
INNER JOIN example USING (example_id)
INNER JOIN generation USING (generation_id)
INNER JOIN teacher USING (teacher_id)
INNER JOIN prompt USING (prompt_id)
WHERE run.training_run_id = :training_run_id
GROUP BY teacher.provider, teacher.model, prompt.content_hash
ORDER BY count(*) DESC
