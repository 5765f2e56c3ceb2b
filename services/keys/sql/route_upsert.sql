-- Writes a route as its last event leaves it.
INSERT INTO route (name, body, created_sequence, sequence) VALUES ($1, $2, $3, $3)
ON CONFLICT (name) DO UPDATE SET body = excluded.body, sequence = excluded.sequence;
