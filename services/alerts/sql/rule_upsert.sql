-- Writes a rule as its last event leaves it; an older event never overwrites a newer one.
INSERT INTO rule (name, tenant, every_tenant, body, created_at, updated_at, created_sequence, sequence)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
ON CONFLICT (name) DO UPDATE SET
  tenant = excluded.tenant, every_tenant = excluded.every_tenant, body = excluded.body,
  created_at = excluded.created_at, updated_at = excluded.updated_at, sequence = excluded.sequence
WHERE rule.sequence < excluded.sequence;
