-- What the last restore took, in seconds.
SELECT extract(epoch FROM completed_at - created_at)::double precision AS seconds FROM restore
WHERE state = 'completed' AND NOT dry_run ORDER BY completed_at DESC LIMIT 1;
