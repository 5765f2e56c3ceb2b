-- One process writes backups and restores at a time; the lock lives as long as its connection.
SELECT pg_try_advisory_lock(7089336) AS locked;
