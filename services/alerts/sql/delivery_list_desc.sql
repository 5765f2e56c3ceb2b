-- A page of deliveries to channels by keyset on their place; filters that are null do not filter.
SELECT place, delivery_id, transition_id, alert_id, channel, transition, state, attempts, last_status, last_error,
  next_attempt_at, created_at
FROM delivery
WHERE kind = 'webhook' AND ($2::bigint IS NULL OR place < $2)
  AND ($3::text IS NULL OR tenant = $3)
  AND ($4::text IS NULL OR channel = $4)
  AND ($5::text IS NULL OR state = $5)
  AND ($6::text IS NULL OR alert_id = $6)
ORDER BY place desc
LIMIT $1;
