-- The read table built from EVENTS: it can be dropped and rebuilt to equality.
CREATE TABLE rule (
  name text PRIMARY KEY,
  tenant text NOT NULL,
  every_tenant boolean NOT NULL,
  body jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  created_sequence bigint NOT NULL,
  sequence bigint NOT NULL
);
CREATE INDEX rule_by_age ON rule (created_sequence);
CREATE INDEX rule_by_change ON rule (sequence);
-- Primary stores from here on: restored from backup, not by replay.
CREATE TABLE channel (
  name text PRIMARY KEY,
  tenant text NOT NULL,
  type text NOT NULL,
  url text NOT NULL,
  secrets text[] NOT NULL,
  enabled boolean NOT NULL,
  disabled_reason text,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
-- The newest event time that each reader has applied.
CREATE TABLE watermark (
  projection text PRIMARY KEY,
  moment timestamptz NOT NULL
);
-- One row a rule and group: its buckets, and the phase of its alert. Its lock decides the alert.
CREATE TABLE series (
  rule text NOT NULL,
  group_id text NOT NULL,
  group_values jsonb NOT NULL,
  shape_id text NOT NULL,
  alert_id text,
  due_ms bigint,
  kept_until_ms bigint NOT NULL,
  state jsonb,
  PRIMARY KEY (rule, group_id)
);
CREATE INDEX series_by_due ON series (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX series_by_end ON series (kept_until_ms) WHERE alert_id IS NULL;
CREATE TABLE alert (
  alert_id text PRIMARY KEY,
  rule text NOT NULL,
  tenant text NOT NULL,
  group_id text NOT NULL,
  group_values jsonb NOT NULL,
  state text NOT NULL CHECK (state IN ('pending', 'fired', 'acknowledged', 'resolved')),
  severity text NOT NULL,
  value double precision NOT NULL,
  threshold double precision NOT NULL,
  summary text NOT NULL,
  labels jsonb NOT NULL,
  runbook text,
  channels text[] NOT NULL,
  notified boolean NOT NULL,
  reason text NOT NULL,
  explanation jsonb NOT NULL,
  started_at timestamptz NOT NULL,
  fired_at timestamptz,
  acknowledged_at timestamptz,
  acknowledged_until timestamptz,
  acknowledged_by text,
  note text,
  resolved_at timestamptz,
  resolved_by text
);
CREATE UNIQUE INDEX alert_open ON alert (rule, group_id) WHERE state <> 'resolved';
CREATE INDEX alert_by_age ON alert (started_at, alert_id);
CREATE INDEX alert_expiring ON alert (acknowledged_until) WHERE state = 'acknowledged';
-- The outbox. A row is frozen when it is made and settled once; a settled one can only be replayed by hand.
CREATE TABLE delivery (
  place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  delivery_id text NOT NULL UNIQUE,
  transition_id text NOT NULL,
  alert_id text NOT NULL,
  tenant text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('events', 'nats', 'webhook')),
  channel text NOT NULL,
  transition text NOT NULL,
  subject text NOT NULL,
  payload text NOT NULL,
  state text NOT NULL CHECK (state IN ('queued', 'delivered', 'failed')),
  attempts integer NOT NULL,
  last_status integer,
  last_error text,
  next_attempt_at timestamptz,
  created_at timestamptz NOT NULL
);
CREATE INDEX delivery_queued ON delivery (kind, place) WHERE state = 'queued';
CREATE INDEX delivery_order ON delivery (alert_id, channel, place) WHERE state = 'queued';
CREATE INDEX delivery_by_alert ON delivery (alert_id, place);
CREATE INDEX delivery_by_age ON delivery (created_at) WHERE state <> 'queued';
