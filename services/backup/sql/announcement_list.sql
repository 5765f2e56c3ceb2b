-- What still has to reach the stream, oldest first (ids are UUIDv7).
SELECT event_id, subject, event FROM announcement ORDER BY event_id LIMIT 100;
