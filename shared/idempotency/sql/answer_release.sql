-- Gives the turn that was taken at $2 back: the request failed, and may be made again.
DELETE FROM idempotent_answer WHERE id = $1 AND started_at = $2 AND answer IS NULL;
