-- A backup goes from the index.
DELETE FROM backup WHERE backup_id = $1;
