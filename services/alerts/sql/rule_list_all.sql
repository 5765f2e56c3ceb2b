-- All rules, for the evaluator.
SELECT name, tenant, every_tenant, body, created_at, updated_at FROM rule;
