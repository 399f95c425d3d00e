-- The sets that a run has learned from, its own first, then those of the runs whose weights it started from.
SELECT training_set_id FROM lineage.run_set WHERE training_run_id = :training_run_id ORDER BY steps
