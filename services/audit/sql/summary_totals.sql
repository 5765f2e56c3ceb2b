-- Counts of a span of time, for one tenant (null for all) and one actor (null for all): totals.
SELECT count(*) AS events, count(*) FILTER (WHERE status = 'success') AS success, count(*) FILTER (WHERE status = 'failure') AS failures, count(*) FILTER (WHERE status = 'denied') AS denied
FROM entry
WHERE timestamp >= $1 AND timestamp < $2 AND ($3::text IS NULL OR tenant = $3) AND ($4::text IS NULL OR actor = $4);
