-- Forgets what is older than the promise.
DELETE FROM idempotent_answer WHERE began_at < $1;
