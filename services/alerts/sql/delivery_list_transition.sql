-- The deliveries that one transition made.
SELECT place, delivery_id, transition_id, alert_id, channel, transition, state, attempts, last_status, last_error,
  next_attempt_at, created_at
FROM delivery WHERE transition_id = $1 AND kind = 'webhook' ORDER BY place;
