-- Makes a channel; no row when the name is taken.
INSERT INTO channel (name, tenant, type, url, secrets, enabled, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
ON CONFLICT (name) DO NOTHING
RETURNING name, tenant, type, url, enabled, disabled_reason, created_at, updated_at;
