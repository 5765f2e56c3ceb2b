-- Writes series that a transaction locked before.
UPDATE series AS s SET
  shape_id = changed.shape_id, alert_id = changed.alert_id, due_ms = changed.due_ms,
  kept_until_ms = changed.kept_until_ms, state = changed.state
FROM jsonb_to_recordset($1::jsonb) AS changed (
  rule text, group_id text, shape_id text, alert_id text, due_ms bigint, kept_until_ms bigint, state jsonb
)
WHERE s.rule = changed.rule AND s.group_id = changed.group_id;
