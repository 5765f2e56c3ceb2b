-- Forgets digests older than the streams keep messages (8 days).
DELETE FROM projection_seen WHERE projection = $1 AND seen_at < now() - interval '8 days';
