-- Adds a batch's counts to the hours of each key and to the key; the last use only moves forward.
WITH fresh AS (
  SELECT key_id, hour, requests, errors, last_used, last_ip
  FROM unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::text[])
    AS fresh (key_id, hour, requests, errors, last_used, last_ip)
), added AS (
  INSERT INTO key_usage_hour AS h (key_id, hour, requests, errors)
  SELECT key_id, hour, requests, errors FROM fresh
  ON CONFLICT (key_id, hour) DO UPDATE SET
    requests = h.requests + excluded.requests, errors = h.errors + excluded.errors
)
INSERT INTO key_usage AS u (key_id, requests_count, last_used, last_ip)
SELECT key_id, sum(requests), max(last_used), (array_agg(last_ip ORDER BY hour DESC))[1] FROM fresh GROUP BY key_id
ON CONFLICT (key_id) DO UPDATE SET
  requests_count = u.requests_count + excluded.requests_count,
  last_ip = CASE WHEN excluded.last_used >= u.last_used THEN excluded.last_ip ELSE u.last_ip END,
  last_used = greatest(u.last_used, excluded.last_used);
