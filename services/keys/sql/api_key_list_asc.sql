-- A page of keys by keyset on (created_at, key_id); filters that are null do not filter (custom plans, see shared/db).
SELECT k.key_id, k.name, k.tenant, k.owner, k.created_by, k.permissions, k.rate_limit, k.allowed_ips, k.metadata,
  k.credits, k.created_at, k.expires_at, k.previous_valid_until, k.rotated_at, k.revoked_at, k.revoked_reason,
  k.sequence, u.requests_count, u.last_used, u.last_ip
FROM api_key AS k LEFT JOIN key_usage AS u ON u.key_id = k.key_id
WHERE ($2::timestamptz IS NULL OR (k.created_at, k.key_id) > ($2, $3::text))
  AND ($4::text IS NULL OR k.tenant = $4)
  AND ($5::text IS NULL OR k.owner = $5)
  AND ($6::text IS NULL OR k.name = $6)
  AND ($7::text IS NULL OR $7 = CASE
    WHEN k.revoked_at IS NOT NULL THEN 'revoked'
    WHEN k.expires_at <= $8::timestamptz THEN 'expired'
    WHEN k.previous_valid_until > $8 THEN 'rotating'
    ELSE 'active' END)
ORDER BY k.created_at asc, k.key_id asc
LIMIT $1;
