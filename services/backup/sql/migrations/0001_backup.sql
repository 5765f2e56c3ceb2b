-- An index of the manifests in the target (rebuilt from them at start), and what only this table knows: what runs, what failed.
CREATE TABLE backup (
  backup_id text PRIMARY KEY,
  type text NOT NULL,
  state text NOT NULL,
  description text NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  covered_at timestamptz,
  completed_at timestamptz,
  streams jsonb NOT NULL,
  bytes bigint NOT NULL,
  compressed_bytes bigint NOT NULL,
  sha256 text,
  verified_at timestamptz,
  parent text,
  progress double precision NOT NULL,
  error text
);
CREATE INDEX backup_by_age ON backup (created_at, backup_id);
CREATE INDEX backup_by_parent ON backup (parent);
CREATE TABLE restore (
  restore_id text PRIMARY KEY,
  state text NOT NULL,
  phase text NOT NULL,
  dry_run boolean NOT NULL,
  target jsonb NOT NULL,
  into_stream text,
  backup_id text,
  progress jsonb NOT NULL,
  plan jsonb,
  error text,
  created_at timestamptz NOT NULL,
  completed_at timestamptz
);
CREATE INDEX restore_by_age ON restore (created_at, restore_id);
-- Events that were decided and still have to reach the stream.
CREATE TABLE announcement (
  event_id text PRIMARY KEY,
  subject text NOT NULL,
  event jsonb NOT NULL
);
