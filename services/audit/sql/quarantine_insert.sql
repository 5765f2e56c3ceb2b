-- Takes a dead letter in; its id is its sequence in the dead letter stream.
INSERT INTO quarantine (id, quarantined_at, stream, sequence, subject, reason, size, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING;
