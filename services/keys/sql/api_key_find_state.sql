-- The folded entity, for applying one more event to it.
SELECT state FROM api_key WHERE key_id = $1;
