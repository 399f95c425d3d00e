-- The teachers and prompts behind a training set, most used first; of parents' calls too.
WITH RECURSIVE ancestry AS (
    SELECT member.position, member.example_id, member.example_id AS maker_id
    FROM training_set_member AS member
    WHERE member.training_set_id = :training_set_id
    UNION
    SELECT ancestry.position, ancestry.example_id, example_parent.parent_id
    FROM ancestry
    INNER JOIN example_parent ON example_parent.example_id = ancestry.maker_id
)

SELECT
    teacher.teacher_id,
    teacher.provider,
    teacher.model,
    teacher.identity,
    teacher.content_hash AS teacher_hash,
    prompt.prompt_id,
    prompt.name AS prompt,
    prompt.content_hash AS prompt_hash,
    count(DISTINCT ancestry.example_id) AS examples
FROM ancestry
INNER JOIN example ON example.example_id = ancestry.maker_id
INNER JOIN generation USING (generation_id)
INNER JOIN teacher USING (teacher_id)
INNER JOIN prompt USING (prompt_id)
GROUP BY teacher.teacher_id, prompt.prompt_id
ORDER BY examples DESC, teacher.teacher_id, prompt.prompt_id
