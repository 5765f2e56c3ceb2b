-- A page of routes by keyset on the sequence that created them.
SELECT body, created_sequence FROM route
WHERE ($2::bigint IS NULL OR created_sequence > $2)
ORDER BY created_sequence asc
LIMIT $1;
