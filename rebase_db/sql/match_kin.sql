-- Whether what arrived has to do with what stands: a row is matched, or has a text in a column that only the row which stands in
-- its place has.
SELECT
    EXISTS (SELECT FROM matched_row)
    OR EXISTS (
        SELECT
        FROM arrived_row
        INNER JOIN standing_row USING (split_id, source_index)
        INNER JOIN cell ON cell.dataset_id = :dataset_id AND cell.row_id = arrived_row.row_id
        INNER JOIN cell AS same
            ON same.dataset_id = cell.dataset_id
            AND same.row_id = standing_row.row_id
            AND same.column_id = cell.column_id
            AND same.text_id = cell.text_id
        WHERE
            NOT EXISTS (
                SELECT
                FROM cell AS other
                INNER JOIN source_row USING (dataset_id, row_id)
                WHERE
                    other.dataset_id = cell.dataset_id
                    AND other.text_id = cell.text_id
                    AND other.row_id <> standing_row.row_id
                    AND source_row.ingest_id < :ingest_id
                    AND source_row.removed_at IS NULL
            )
    )
