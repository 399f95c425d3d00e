-- Deletes the vectors of erased texts, under every encoder.
DELETE FROM embedding
USING covered_text
WHERE embedding.dataset_id = covered_text.dataset_id AND embedding.text_id = covered_text.text_id
