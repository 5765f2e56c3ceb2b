-- One alert.
SELECT alert_id, rule, tenant, group_id, group_values, state, severity, value, threshold, summary, labels, runbook,
  channels, notified, reason, explanation, started_at, fired_at, acknowledged_at, acknowledged_until, acknowledged_by,
  note, resolved_at, resolved_by
FROM alert WHERE alert_id = $1;
