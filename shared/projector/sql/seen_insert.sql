-- Notes the digests and returns those that are new; a second copy is not returned.
INSERT INTO projection_seen (projection, digest)
SELECT $1, digest FROM unnest($2::bytea[]) AS fresh (digest)
ON CONFLICT DO NOTHING
RETURNING digest;
