-- Renews a lease that is still ours; no row when a standby took over.
UPDATE projection SET lease_until = now() + $3 * interval '1 second' WHERE name = $1 AND token = $2 RETURNING token;
