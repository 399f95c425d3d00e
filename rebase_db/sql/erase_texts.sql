-- Empties the texts that go with covered rows; their hashes stay.
UPDATE text
SET text = NULL, erased_by = :retraction_id
FROM covered_text
WHERE
    text.dataset_id = covered_text.dataset_id AND text.text_id = covered_text.text_id AND text.erased_by IS NULL
