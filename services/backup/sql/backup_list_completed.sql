-- All recovery points, newest first.
SELECT backup_id, type, parent, covered_at, sha256 FROM backup WHERE state = 'completed'
ORDER BY covered_at DESC, created_at DESC;
