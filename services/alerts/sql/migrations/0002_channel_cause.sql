-- Which request under an Idempotency-Key made a channel: its retry, after a crash, meets what it made.
ALTER TABLE channel ADD COLUMN cause text;
