-- Takes the turn for a request: no row when it was answered, runs (began after $4), or was another one under the same key.
INSERT INTO idempotent_answer (id, request, started_at)
VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at
WHERE idempotent_answer.request = excluded.request
  AND idempotent_answer.answer IS NULL
  AND idempotent_answer.started_at < $4
RETURNING id;
