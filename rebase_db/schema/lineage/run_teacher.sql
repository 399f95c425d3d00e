CREATE VIEW lineage.run_teacher AS
SELECT
    reached.training_run_id,
    training_set.name AS training_set,
    teacher.teacher_id,
    teacher.provider,
    teacher.model,
    prompt.prompt_id,
    prompt.name AS prompt,
    encode(prompt.content_hash, 'hex') AS template_hash,
    count(DISTINCT reached.example_id) AS examples,
    lineage.examples_learned(reached.training_run_id) AS size,
    CAST(count(DISTINCT reached.example_id) AS double precision)
    / lineage.examples_learned(reached.training_run_id) AS share
FROM lineage.run_example AS reached
INNER JOIN example ON example.example_id = reached.via_example_id
INNER JOIN generation USING (generation_id)
INNER JOIN teacher USING (teacher_id)
INNER JOIN prompt USING (prompt_id)
INNER JOIN training_run AS run ON run.training_run_id = reached.training_run_id
INNER JOIN training_set ON training_set.training_set_id = run.training_set_id
GROUP BY
    reached.training_run_id, training_set.name, teacher.teacher_id, teacher.provider, teacher.model,
    prompt.prompt_id, prompt.name, prompt.content_hash;

COMMENT ON VIEW lineage.run_teacher IS 'One row a run, a teacher and a prompt template that its examples rest on.';
COMMENT ON COLUMN lineage.run_teacher.prompt IS 'name of the template';
COMMENT ON COLUMN lineage.run_teacher.template_hash IS 'SHA-256 of the template, in hex';
COMMENT ON COLUMN lineage.run_teacher.examples IS
'of the examples that the run has learned from those that rest on an answer to the prompt';
COMMENT ON COLUMN lineage.run_teacher.size IS 'examples that the run has learned from';
COMMENT ON COLUMN lineage.run_teacher.share IS 'examples / size';
