-- Failures older than the retention are forgotten.
DELETE FROM backup WHERE state = 'failed' AND created_at < $1;
