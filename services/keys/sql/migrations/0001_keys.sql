-- Read tables built from EVENTS: they can be dropped and rebuilt to equality. `state` is the folded entity, verifier and
-- all, so that one more event can be applied without reading the stream again.
CREATE TABLE api_key (
  key_id text PRIMARY KEY,
  name text NOT NULL,
  tenant text NOT NULL,
  owner text NOT NULL,
  created_by text NOT NULL,
  permissions text[] NOT NULL,
  rate_limit bigint NOT NULL,
  allowed_ips text[] NOT NULL,
  metadata jsonb NOT NULL,
  credits bigint,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  previous_valid_until timestamptz,
  rotated_at timestamptz,
  revoked_at timestamptz,
  revoked_reason text,
  sequence bigint NOT NULL,
  state jsonb NOT NULL
);
CREATE INDEX api_key_by_age ON api_key (created_at, key_id);
CREATE INDEX api_key_by_tenant ON api_key (tenant, created_at, key_id);
CREATE INDEX api_key_by_owner ON api_key (owner, created_at, key_id);
CREATE TABLE route (
  name text PRIMARY KEY,
  body jsonb NOT NULL,
  created_sequence bigint NOT NULL,
  sequence bigint NOT NULL
);
CREATE INDEX route_by_age ON route (created_sequence);
-- Figures fed by TRAFFIC.
CREATE TABLE key_usage (
  key_id text PRIMARY KEY,
  requests_count bigint NOT NULL,
  last_used timestamptz NOT NULL,
  last_ip text
);
CREATE TABLE key_usage_hour (
  key_id text NOT NULL,
  hour timestamptz NOT NULL,
  requests bigint NOT NULL,
  errors bigint NOT NULL,
  PRIMARY KEY (key_id, hour)
);
