-- A restore that begins.
INSERT INTO restore (restore_id, state, phase, dry_run, target, into_stream, backup_id, progress, created_at)
VALUES ($1, 'running', 'plan', $2, $3, $4, $5, $6, $7);
