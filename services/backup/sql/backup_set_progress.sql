-- How far a running backup is, from 0 to 1.
UPDATE backup SET progress = $2 WHERE backup_id = $1 AND state = 'running';
