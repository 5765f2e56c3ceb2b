-- A recovery point, or one being taken, that follows this one.
SELECT backup_id FROM backup WHERE parent = $1 AND state <> 'failed' LIMIT 1;
