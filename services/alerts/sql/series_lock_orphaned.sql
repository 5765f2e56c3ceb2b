-- Reads, under their lock, series with an open alert whose rule is gone or switched off.
SELECT s.rule, s.group_id, s.group_values, s.shape_id, s.alert_id, s.state
FROM series AS s LEFT JOIN rule AS r ON r.name = s.rule
WHERE s.alert_id IS NOT NULL AND (r.name IS NULL OR NOT (r.body ->> 'enabled')::boolean)
ORDER BY s.rule, s.group_id LIMIT $1
FOR UPDATE OF s;
