-- A page of channels by keyset on (created_at, name); never their secrets.
SELECT name, tenant, type, url, enabled, disabled_reason, created_at, updated_at FROM channel
WHERE ($2::timestamptz IS NULL OR (created_at, name) > ($2, $3::text))
  AND ($4::text IS NULL OR tenant = $4)
ORDER BY created_at asc, name asc
LIMIT $1;
