-- Writes the interval sets that a batch changed.
INSERT INTO projection_source (projection, source, applied)
SELECT $1, source, applied::int8multirange FROM unnest($2::text[], $3::text[]) AS changed (source, applied)
ON CONFLICT (projection, source) DO UPDATE SET applied = excluded.applied;
