-- Changes what is not null; switching a channel on forgets why it was switched off.
UPDATE channel SET
  url = coalesce($3, url), secrets = coalesce($4, secrets), enabled = coalesce($5, enabled),
  disabled_reason = CASE WHEN $5 THEN NULL ELSE disabled_reason END, updated_at = $6
WHERE name = $1 AND ($2::text IS NULL OR tenant = $2)
RETURNING name, tenant, type, url, enabled, disabled_reason, created_at, updated_at;
