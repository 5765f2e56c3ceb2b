-- How far a running restore is.
UPDATE restore SET phase = $2, progress = $3 WHERE restore_id = $1 AND state = 'running';
