-- How the backup before this one ended.
SELECT state FROM backup WHERE backup_id <> $1 AND state <> 'running' ORDER BY created_at DESC LIMIT 1;
