-- Settles one delivery, or says when it is tried again; $5 is the wait in seconds, null when it is settled.
UPDATE delivery SET
  state = $2, attempts = attempts + 1, last_status = $3, last_error = $4,
  next_attempt_at = now() + $5::double precision * interval '1 second'
WHERE delivery_id = $1 AND state = 'queued'
RETURNING attempts;
