-- A restore ends, once.
UPDATE restore SET state = $2, error = $3, completed_at = $4 WHERE restore_id = $1 AND state = 'running'
RETURNING restore_id;
