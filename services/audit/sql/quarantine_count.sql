-- How much waits in quarantine.
SELECT count(*) AS waiting FROM quarantine WHERE is_open;
