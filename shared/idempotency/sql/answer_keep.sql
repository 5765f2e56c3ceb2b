-- Keeps the answer of whoever has the turn since $3; no row when another took it over meanwhile.
UPDATE idempotent_answer SET answer = $2 WHERE id = $1 AND turn_at = $3 AND answer IS NULL RETURNING id;
