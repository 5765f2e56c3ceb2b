-- Settles what the streams acknowledged.
UPDATE delivery SET state = 'delivered', attempts = attempts + 1, next_attempt_at = NULL
WHERE delivery_id = ANY ($1::text[]) AND state = 'queued';
