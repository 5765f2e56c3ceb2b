-- A page of rules by keyset on the sequence that created them; filters that are null do not filter.
SELECT name, tenant, every_tenant, body, created_at, updated_at, created_sequence FROM rule
WHERE ($2::bigint IS NULL OR created_sequence > $2)
  AND ($3::text IS NULL OR tenant = $3)
  AND ($4::text IS NULL OR body ->> 'type' = $4)
  AND ($5::boolean IS NULL OR (body ->> 'enabled')::boolean = $5)
ORDER BY created_sequence asc
LIMIT $1;
