-- The tasks whose rankings lost covered rows, or got them back, may want more examples: whoever claims next finds out what is
-- left of their budgets.
UPDATE budget
SET exhausted_at = NULL
WHERE
    budget.exhausted_at IS NOT NULL
    AND budget.task_id IN (
        SELECT task_version.task_id
        FROM covered_row
        INNER JOIN retrieval_link AS link ON link.dataset_id = covered_row.dataset_id AND link.row_id = covered_row.row_id
        INNER JOIN task_version ON task_version.task_version_id = link.task_version_id
    )
