-- How many members of a set another one had not, and how many of the other's it has not.
SELECT
    count(*) FILTER (WHERE in_set AND NOT in_other) AS joined,
    count(*) FILTER (WHERE in_other AND NOT in_set) AS gone
FROM (
    SELECT
        example_id,
        bool_or(training_set_id = :training_set_id) AS in_set,
        bool_or(training_set_id = :other_id) AS in_other
    FROM training_set_member
    WHERE training_set_id IN (:training_set_id, :other_id)
    GROUP BY example_id
) AS member
