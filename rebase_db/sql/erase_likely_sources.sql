-- Empties the evidence by which published examples were laid to covered rows; row, method and confidence stay.
UPDATE likely_source
SET evidence = '{}', erased_by = :retraction_id
FROM covered_row
WHERE
    likely_source.dataset_id = covered_row.dataset_id
    AND likely_source.row_id = covered_row.row_id
    AND likely_source.erased_by IS NULL
