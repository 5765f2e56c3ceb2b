-- A recovery point was read back and found as it was written.
UPDATE backup SET verified_at = $2 WHERE backup_id = $1;
