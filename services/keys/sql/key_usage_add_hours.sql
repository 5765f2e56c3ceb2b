-- Adds a batch's counts to the hours of each key.
INSERT INTO key_usage_hour AS h (key_id, hour, requests, errors)
SELECT key_id, hour, requests, errors
FROM unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::bigint[]) AS fresh (key_id, hour, requests, errors)
ON CONFLICT (key_id, hour) DO UPDATE SET requests = h.requests + excluded.requests, errors = h.errors + excluded.errors;
