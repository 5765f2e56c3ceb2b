-- Writes alerts as they are now; the unique index on open ones keeps two from standing for one series.
INSERT INTO alert (alert_id, rule, tenant, group_id, group_values, state, severity, value, threshold, summary, labels, runbook,
  channels, notified, reason, explanation, started_at, fired_at, acknowledged_at, acknowledged_until, acknowledged_by,
  note, resolved_at, resolved_by)
SELECT alert_id, rule, tenant, group_id, group_values, state, severity, value, threshold, summary, labels, runbook,
  channels, notified, reason, explanation, started_at, fired_at, acknowledged_at, acknowledged_until, acknowledged_by,
  note, resolved_at, resolved_by
FROM jsonb_to_recordset($1::jsonb) AS changed (
  alert_id text, rule text, tenant text, group_id text, group_values jsonb, state text, severity text,
  value double precision, threshold double precision, summary text, labels jsonb, runbook text, channels text[],
  notified boolean, reason text, explanation jsonb, started_at timestamptz, fired_at timestamptz,
  acknowledged_at timestamptz, acknowledged_until timestamptz, acknowledged_by text, note text, resolved_at timestamptz,
  resolved_by text
)
ORDER BY state DESC
ON CONFLICT (alert_id) DO UPDATE SET
  state = excluded.state, value = excluded.value, summary = excluded.summary, notified = excluded.notified,
  reason = excluded.reason, explanation = excluded.explanation, fired_at = excluded.fired_at,
  acknowledged_at = excluded.acknowledged_at, acknowledged_until = excluded.acknowledged_until,
  acknowledged_by = excluded.acknowledged_by, note = excluded.note, resolved_at = excluded.resolved_at,
  resolved_by = excluded.resolved_by;
