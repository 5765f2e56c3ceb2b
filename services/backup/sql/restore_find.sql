-- One restore.
SELECT restore_id, state, phase, dry_run, target, into_stream, backup_id, progress, plan, error, created_at, completed_at
FROM restore WHERE restore_id = $1;
