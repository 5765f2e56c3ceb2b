-- Restores that a process began and did not end.
SELECT restore_id, target, into_stream, backup_id, dry_run FROM restore WHERE state = 'running' ORDER BY created_at;
