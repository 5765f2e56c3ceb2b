-- The hours of one key since a moment.
SELECT hour, requests, errors FROM key_usage_hour WHERE key_id = $1 AND hour > $2 ORDER BY hour;
