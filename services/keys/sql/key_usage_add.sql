-- Adds a batch's counts to each key; the last use only moves forward.
INSERT INTO key_usage AS u (key_id, requests_count, last_used, last_ip)
SELECT key_id, requests, last_used, last_ip
FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::text[]) AS fresh (key_id, requests, last_used, last_ip)
ON CONFLICT (key_id) DO UPDATE SET
  requests_count = u.requests_count + excluded.requests_count,
  last_ip = CASE WHEN excluded.last_used >= u.last_used THEN excluded.last_ip ELSE u.last_ip END,
  last_used = greatest(u.last_used, excluded.last_used);
