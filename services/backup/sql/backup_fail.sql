-- A backup that left no recovery point.
UPDATE backup SET state = 'failed', completed_at = $2, error = $3 WHERE backup_id = $1 AND state = 'running';
