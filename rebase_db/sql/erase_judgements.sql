-- Empties what judges said of covered examples; the points stay, and of the reason why there are none its name.
UPDATE judgement
SET
    raw_answer = NULL,
    failures = '{}',
    reason = CASE
        WHEN judgement.outcome = 'judged' THEN NULL
        WHEN judgement.reason ~ '^[a-z_]+(:|$)' THEN split_part(judgement.reason, ':', 1)
        ELSE 'erased'
    END,
    erased_by = :retraction_id
FROM covered_example
WHERE judgement.example_id = covered_example.example_id AND judgement.erased_by IS NULL
