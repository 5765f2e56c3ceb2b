-- Reads series under their lock, in one order: whoever decides about their alerts holds it.
SELECT s.rule, s.group_id, s.group_values, s.shape_id, s.alert_id, s.state
FROM series AS s
JOIN unnest($1::text[], $2::text[]) AS wanted (rule, group_id) ON s.rule = wanted.rule AND s.group_id = wanted.group_id
ORDER BY s.rule, s.group_id
FOR UPDATE OF s;
