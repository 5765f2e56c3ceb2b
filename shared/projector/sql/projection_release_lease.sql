-- Gives the lease back at a clean stop, so that the next holder need not wait.
UPDATE projection SET lease_until = '-infinity' WHERE name = $1 AND token = $2;
