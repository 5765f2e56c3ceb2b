-- One row a projection: how far it has applied its stream, and which writer may go on (lease and fencing token).
CREATE TABLE projection (
  name text PRIMARY KEY,
  incarnation text NOT NULL DEFAULT '',
  sequence bigint NOT NULL DEFAULT 0,
  token bigint NOT NULL DEFAULT 0,
  holder text NOT NULL DEFAULT '',
  lease_until timestamptz NOT NULL DEFAULT '-infinity',
  stopped_reason text
);
-- What was already applied of each numbered source, so that a second copy at a new sequence changes nothing.
CREATE TABLE projection_source (
  projection text NOT NULL,
  source text NOT NULL,
  applied int8multirange NOT NULL,
  PRIMARY KEY (projection, source)
);
-- The same for sources without numbers: a hash of (source, id), kept longer than the stream keeps its messages.
CREATE TABLE projection_seen (
  projection text NOT NULL,
  digest bytea NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (projection, digest)
);
CREATE INDEX projection_seen_by_time ON projection_seen (seen_at);
-- Ranges of a stream that were purged before they could be applied: never skipped silently.
CREATE TABLE projection_loss (
  projection text NOT NULL,
  incarnation text NOT NULL,
  first_sequence bigint NOT NULL,
  last_sequence bigint NOT NULL,
  noted_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (projection, incarnation, first_sequence)
);
