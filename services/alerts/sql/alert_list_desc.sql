-- A page of alerts by keyset on (started_at, alert_id); filters that are null do not filter.
SELECT alert_id, rule, tenant, group_id, group_values, state, severity, value, threshold, summary, labels, runbook,
  channels, notified, reason, explanation, started_at, fired_at, acknowledged_at, acknowledged_until, acknowledged_by,
  note, resolved_at, resolved_by
FROM alert
WHERE ($2::timestamptz IS NULL OR (started_at, alert_id) < ($2, $3::text))
  AND ($4::text IS NULL OR tenant = $4)
  AND ($5::text IS NULL OR rule = $5)
  AND ($6::text IS NULL OR severity = $6)
  AND ($7::text IS NULL OR state = $7)
  AND (NOT $8::boolean OR state <> 'resolved')
  AND ($9::timestamptz IS NULL OR started_at >= $9)
  AND ($10::timestamptz IS NULL OR started_at < $10)
ORDER BY started_at desc, alert_id desc
LIMIT $1;
