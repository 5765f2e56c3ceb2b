-- History is kept for a while, then forgotten.
DELETE FROM alert WHERE state = 'resolved' AND resolved_at < $1;
