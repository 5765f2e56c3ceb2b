-- One deliverer at a time; the lock goes with its connection.
SELECT pg_try_advisory_lock(hashtext('alerts:deliver')) AS leads;
