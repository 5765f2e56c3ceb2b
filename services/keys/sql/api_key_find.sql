-- One key with its usage.
SELECT k.key_id, k.name, k.tenant, k.owner, k.created_by, k.permissions, k.rate_limit, k.allowed_ips, k.metadata,
  k.credits, k.created_at, k.expires_at, k.previous_valid_until, k.rotated_at, k.revoked_at, k.revoked_reason,
  k.sequence, u.requests_count, u.last_used, u.last_ip
FROM api_key AS k LEFT JOIN key_usage AS u ON u.key_id = k.key_id
WHERE k.key_id = $1;
