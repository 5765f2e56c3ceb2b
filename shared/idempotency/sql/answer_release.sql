-- Gives the turn that was taken at $2 back: the request failed, and may be made again; its seed stays.
UPDATE idempotent_answer SET turn_at = NULL WHERE id = $1 AND turn_at = $2 AND answer IS NULL;
