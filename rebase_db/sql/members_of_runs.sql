-- The examples that some runs have learned from, each once for a run.
SELECT learned.training_run_id, learned.example_id
FROM lineage.run_member AS learned
WHERE learned.training_run_id = ANY(CAST(:training_run_ids AS integer []))
