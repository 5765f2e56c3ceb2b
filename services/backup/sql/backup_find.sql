-- One backup.
SELECT backup_id, type, state, description, created_at, completed_at, streams, bytes, compressed_bytes, sha256,
  verified_at, parent, progress, error
FROM backup WHERE backup_id = $1;
