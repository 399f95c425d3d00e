-- The teachers and prompts behind some training sets, most used first; of parents' calls too.
SELECT
    teacher.teacher_id,
    teacher.provider,
    teacher.model,
    teacher.identity,
    teacher.content_hash AS teacher_hash,
    prompt.prompt_id,
    prompt.name AS prompt,
    prompt.content_hash AS prompt_hash,
    count(DISTINCT makers.example_id) AS examples
FROM unnest(CAST(:training_set_ids AS integer [])) AS asked (training_set_id)
CROSS JOIN LATERAL lineage.makers_of_set(asked.training_set_id) AS makers
INNER JOIN example ON example.example_id = makers.maker_id
INNER JOIN generation USING (generation_id)
INNER JOIN teacher USING (teacher_id)
INNER JOIN prompt USING (prompt_id)
GROUP BY teacher.teacher_id, prompt.prompt_id
ORDER BY examples DESC, teacher.teacher_id, prompt.prompt_id
