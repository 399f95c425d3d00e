CREATE VIEW lineage.mirror AS
SELECT
    one.dataset_id,
    one.row_id,
    dataset.name AS dataset,
    dataset_split.config,
    dataset_split.split,
    one.source_index,
    dataset.licence,
    other.dataset_id AS mirror_dataset_id,
    other.row_id AS mirror_row_id,
    other_dataset.name AS mirror_dataset,
    other_split.config AS mirror_config,
    other_split.split AS mirror_split,
    other.source_index AS mirror_source_index,
    other_dataset.licence AS mirror_licence,
    encode(one.content_hash, 'hex') AS row_hash
FROM source_row AS one
INNER JOIN source_row AS other
    ON other.content_hash = one.content_hash AND (other.dataset_id, other.row_id) <> (one.dataset_id, one.row_id)
INNER JOIN dataset ON dataset.dataset_id = one.dataset_id
INNER JOIN dataset_split ON dataset_split.dataset_id = one.dataset_id AND dataset_split.split_id = one.split_id
INNER JOIN dataset AS other_dataset ON other_dataset.dataset_id = other.dataset_id
INNER JOIN dataset_split AS other_split
    ON other_split.dataset_id = other.dataset_id AND other_split.split_id = other.split_id;

COMMENT ON VIEW lineage.mirror IS
'One row a source row and another row with exactly its content, in the same dataset or another one.';
