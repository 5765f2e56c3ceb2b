-- Compare and set: the position moves only from where this writer believes it to be, under its own token.
UPDATE projection SET sequence = $5
WHERE name = $1 AND token = $2 AND incarnation = $3 AND sequence = $4
RETURNING pg_notify('projection', name || ':' || $5::bigint);
