-- A page of backups by keyset on (created_at, backup_id); filters that are null do not filter (custom plans, see shared/db).
SELECT backup_id, type, state, description, created_at, completed_at, streams, bytes, compressed_bytes, sha256,
  verified_at, parent, progress, error
FROM backup
WHERE ($2::timestamptz IS NULL OR (created_at, backup_id) > ($2, $3::text))
  AND ($4::text IS NULL OR state = $4)
  AND ($5::text IS NULL OR type = $5)
ORDER BY created_at asc, backup_id asc
LIMIT $1;
