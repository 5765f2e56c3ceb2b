-- Settled deliveries are kept for a while, then forgotten.
DELETE FROM delivery WHERE state <> 'queued' AND created_at < $1;
