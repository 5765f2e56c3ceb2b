-- Backups that a process began and did not end.
SELECT backup_id, type FROM backup WHERE state = 'running' ORDER BY created_at;
