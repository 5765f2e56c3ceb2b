-- Compare and set: the position moves only from where this writer believes it to be, under its own token, and forward.
-- The interval sets that the batch changed are written with it, in one round trip; never without it.
WITH moved AS (
  UPDATE projection SET sequence = $5, stopped_reason = NULL
  WHERE name = $1 AND token = $2 AND incarnation = $3 AND sequence = $4 AND sequence < $5
  RETURNING name
), saved AS (
  INSERT INTO projection_source (projection, source, applied)
  SELECT moved.name, source, applied::int8multirange
  FROM moved, unnest($6::text[], $7::text[]) AS changed (source, applied)
  ON CONFLICT (projection, source) DO UPDATE SET applied = excluded.applied
)
SELECT pg_notify('projection', name || ':' || $5::bigint) FROM moved;
