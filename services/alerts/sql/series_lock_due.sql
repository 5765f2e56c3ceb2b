-- Reads, under their lock, series whose alert may change although no event came.
SELECT rule, group_id, group_values, shape_id, alert_id, state
FROM series WHERE due_ms <= $1 ORDER BY rule, group_id LIMIT $2 FOR UPDATE;
