-- Keeps the first answer; whoever took the turn over in the meantime finds it, and may not replace it.
UPDATE idempotent_answer SET answer = $2 WHERE id = $1 AND answer IS NULL;
