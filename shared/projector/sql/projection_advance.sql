-- Compare and set: the position moves only from where this writer believes it to be, under its own token, and forward.
UPDATE projection SET sequence = $5, stopped_reason = NULL
WHERE name = $1 AND token = $2 AND incarnation = $3 AND sequence = $4 AND sequence < $5
RETURNING pg_notify('projection', name || ':' || $5::bigint);
