-- First answers to requests under an Idempotency-Key; a primary store. `seed` is what ids of this request are derived from,
-- `turn_at` when somebody began to work on it (null when it failed), `answer` null until it is known.
CREATE TABLE idempotent_answer (
  id text PRIMARY KEY,
  seed text NOT NULL,
  request bytea NOT NULL,
  answer bytea,
  began_at timestamptz NOT NULL,
  turn_at timestamptz
);
CREATE INDEX idempotent_answer_by_age ON idempotent_answer (began_at);
