-- What is to be sent now, oldest first; a later notification of an alert waits for an earlier one to the same channel.
SELECT d.place, d.delivery_id, d.transition_id, d.alert_id, d.tenant, d.kind, d.channel, d.transition, d.subject,
  d.payload, d.attempts, d.created_at
FROM delivery AS d
WHERE d.state = 'queued' AND d.kind = $1 AND (d.next_attempt_at IS NULL OR d.next_attempt_at <= now())
  AND d.delivery_id <> ALL ($2::text[]) AND d.channel <> ALL ($3::text[])
  AND NOT EXISTS (
    SELECT 1 FROM delivery AS earlier
    WHERE earlier.state = 'queued' AND earlier.alert_id = d.alert_id AND earlier.channel = d.channel
      AND earlier.place < d.place
  )
ORDER BY d.place
LIMIT $4;
