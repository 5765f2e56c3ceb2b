-- Counts of a span of time, for one tenant (null for all) and one actor (null for all): top_endpoints.
SELECT endpoint AS name, count(*) AS events
FROM entry
WHERE timestamp >= $1 AND timestamp < $2 AND ($3::text IS NULL OR tenant = $3) AND ($4::text IS NULL OR actor = $4) AND endpoint IS NOT NULL
GROUP BY endpoint
ORDER BY count(*) DESC, endpoint
LIMIT 10;
