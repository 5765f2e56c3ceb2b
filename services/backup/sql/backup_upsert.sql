-- A recovery point as its manifest says; the moment it was asked for and what was verified stay.
INSERT INTO backup AS b (
  backup_id, type, state, description, created_by, created_at, covered_at, completed_at, streams, bytes,
  compressed_bytes, sha256, parent, progress
) VALUES ($1, $2, 'completed', $3, $4, $5, $5, $6, $7, $8, $9, $10, $11, 1)
ON CONFLICT (backup_id) DO UPDATE SET
  type = excluded.type, state = 'completed', covered_at = excluded.covered_at, completed_at = excluded.completed_at,
  streams = excluded.streams, bytes = excluded.bytes, compressed_bytes = excluded.compressed_bytes,
  sha256 = excluded.sha256, parent = excluded.parent, progress = 1, error = NULL;
