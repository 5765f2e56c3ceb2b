-- Takes the turn for a request, with the seed of its first try: no row when it was answered, runs (since $5 or later), or was
-- another one under the same key.
INSERT INTO idempotent_answer (id, seed, request, began_at, turn_at)
VALUES ($1, $2, $3, $4, $4)
ON CONFLICT (id) DO UPDATE SET turn_at = excluded.turn_at
WHERE idempotent_answer.request = excluded.request
  AND idempotent_answer.answer IS NULL
  AND (idempotent_answer.turn_at IS NULL OR idempotent_answer.turn_at < $5)
RETURNING seed;
