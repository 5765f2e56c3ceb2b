-- Queues a settled delivery again, with the same body and the same webhook-id.
UPDATE delivery SET state = 'queued', attempts = 0, next_attempt_at = NULL
WHERE delivery_id = $1 AND kind = 'webhook' AND ($2::text IS NULL OR tenant = $2)
RETURNING place, delivery_id, transition_id, alert_id, channel, transition, state, attempts, last_status, last_error,
  next_attempt_at, created_at;
