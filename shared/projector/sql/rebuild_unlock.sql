-- Lets the next rebuild in.
SELECT pg_advisory_unlock(hashtext('rebuild:' || $1));
