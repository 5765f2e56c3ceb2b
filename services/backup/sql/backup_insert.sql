-- A backup that begins.
INSERT INTO backup (
  backup_id, type, state, description, created_by, created_at, streams, bytes, compressed_bytes, progress
) VALUES ($1, $2, 'running', $3, $4, $5, '{}', 0, 0, 0);
