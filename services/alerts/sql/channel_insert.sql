-- Makes a channel; no row when the name is taken, but by a retry of the very request that took it (Idempotency-Key).
INSERT INTO channel (name, tenant, type, url, secrets, enabled, created_at, updated_at, cause)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)
ON CONFLICT (name) DO UPDATE SET cause = excluded.cause WHERE channel.cause = excluded.cause
RETURNING name, tenant, type, url, enabled, disabled_reason, created_at, updated_at;
