-- A page of what waits in quarantine.
SELECT id, quarantined_at, stream, sequence, subject, reason, size, payload FROM quarantine
WHERE is_open AND ($2::bigint IS NULL OR id < $2)
ORDER BY id desc
LIMIT $1;
