-- Adds outbox rows in their order; one that was written before is not written again.
INSERT INTO delivery (
  delivery_id, transition_id, alert_id, tenant, kind, channel, transition, subject, payload, state, attempts, created_at
)
SELECT delivery_id, transition_id, alert_id, tenant, kind, channel, transition, subject, payload, 'queued', 0, created_at
FROM ROWS FROM (
  jsonb_to_recordset($1::jsonb) AS (
    delivery_id text, transition_id text, alert_id text, tenant text, kind text, channel text, transition text,
    subject text, payload text, created_at timestamptz
  )
) WITH ORDINALITY AS fresh
ORDER BY fresh.ordinality
ON CONFLICT (delivery_id) DO NOTHING;
