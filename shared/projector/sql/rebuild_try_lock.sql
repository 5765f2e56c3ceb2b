-- One rebuild of a projection at a time.
SELECT pg_try_advisory_lock(hashtext('rebuild:' || $1)) AS taken;
