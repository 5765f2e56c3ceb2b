-- Forgets what is older than the promise.
DELETE FROM idempotent_answer WHERE started_at < $1;
