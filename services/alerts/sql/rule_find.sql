-- One rule.
SELECT name, tenant, every_tenant, body, created_at, updated_at FROM rule WHERE name = $1;
