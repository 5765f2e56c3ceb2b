-- One channel with its secrets, for the deliverer.
SELECT name, tenant, type, url, secrets, enabled, disabled_reason FROM channel WHERE name = $1;
