-- First answers to requests under an Idempotency-Key; `answer` is null while the request runs. A primary store.
CREATE TABLE idempotent_answer (
  id text PRIMARY KEY,
  request bytea NOT NULL,
  answer bytea,
  started_at timestamptz NOT NULL
);
CREATE INDEX idempotent_answer_by_age ON idempotent_answer (started_at);
