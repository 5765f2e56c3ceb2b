-- Writes a key as its last event leaves it; an older event never overwrites a newer one.
INSERT INTO api_key (
  key_id, name, tenant, owner, created_by, permissions, rate_limit, allowed_ips, metadata, credits, created_at,
  expires_at, previous_valid_until, rotated_at, revoked_at, revoked_reason, sequence, state
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (key_id) DO UPDATE SET
  name = excluded.name, permissions = excluded.permissions, rate_limit = excluded.rate_limit,
  allowed_ips = excluded.allowed_ips, metadata = excluded.metadata, credits = excluded.credits,
  expires_at = excluded.expires_at, previous_valid_until = excluded.previous_valid_until,
  rotated_at = excluded.rotated_at, revoked_at = excluded.revoked_at, revoked_reason = excluded.revoked_reason,
  sequence = excluded.sequence, state = excluded.state
WHERE api_key.sequence < excluded.sequence;
