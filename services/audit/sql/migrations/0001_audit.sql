-- The log: a primary store (restored from backup, not by replay). One row of state holds the next index.
CREATE TABLE log_state (
  is_single boolean PRIMARY KEY DEFAULT true CHECK (is_single),
  tree_size bigint NOT NULL
);
INSERT INTO log_state (tree_size) VALUES (0);
CREATE TABLE entry (
  index bigint NOT NULL,
  id uuid NOT NULL,
  timestamp timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  event_type text NOT NULL,
  severity text NOT NULL,
  category text NOT NULL,
  actor text NOT NULL,
  tenant text NOT NULL,
  ip_address text,
  user_agent text,
  endpoint text,
  path text,
  method text,
  status_code integer,
  duration_ms double precision,
  bytes_in bigint,
  bytes_out bigint,
  route text,
  action text NOT NULL,
  resource text,
  status text NOT NULL,
  details jsonb NOT NULL,
  changes jsonb,
  request_id text,
  trace_id text,
  session_id text,
  source text NOT NULL,
  source_id text NOT NULL,
  origin text,
  onbehalfof text,
  CONSTRAINT entry_pkey PRIMARY KEY (index)
);
CREATE INDEX entry_by_id ON entry (id);
CREATE INDEX entry_by_actor ON entry (actor, index);
CREATE INDEX entry_by_type ON entry (event_type, index);
CREATE INDEX entry_by_request ON entry (request_id);
CREATE INDEX entry_by_trace ON entry (trace_id);
CREATE INDEX entry_by_source_id ON entry (source_id);
CREATE INDEX entry_by_time ON entry USING brin (timestamp) WITH (pages_per_range = 16);
-- A boot that its successor named: its holes are closed, for its spool was drained before.
CREATE TABLE closed_source (
  source text PRIMARY KEY,
  closed_by text NOT NULL
);
-- What stands in the dead letter stream for audit, until it is requeued or discarded.
CREATE TABLE quarantine (
  id bigint PRIMARY KEY,
  quarantined_at timestamptz NOT NULL,
  stream text NOT NULL,
  sequence bigint NOT NULL,
  subject text NOT NULL,
  reason text NOT NULL,
  size bigint NOT NULL,
  payload bytea NOT NULL,
  is_open boolean NOT NULL DEFAULT true
);
CREATE INDEX quarantine_open ON quarantine (id) WHERE is_open;
