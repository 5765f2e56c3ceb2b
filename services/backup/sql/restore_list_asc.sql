-- A page of restores by keyset on (created_at, restore_id); filters that are null do not filter (custom plans, see shared/db).
SELECT restore_id, state, phase, dry_run, target, into_stream, backup_id, progress, plan, error, created_at, completed_at
FROM restore
WHERE ($2::timestamptz IS NULL OR (created_at, restore_id) > ($2, $3::text))
  AND ($4::text IS NULL OR state = $4)
ORDER BY created_at asc, restore_id asc
LIMIT $1;
