-- The last time that a recovery point was found as it was written.
SELECT max(verified_at) AS verified_at FROM backup;
