-- Takes the lease when it is free, or already ours: the token grows, so whatever the last holder still writes is refused.
INSERT INTO projection AS p (name, holder, token, lease_until)
VALUES ($1, $2, 1, now() + $3 * interval '1 second')
ON CONFLICT (name) DO UPDATE
SET holder = excluded.holder, token = p.token + 1, lease_until = excluded.lease_until
WHERE p.lease_until < now() OR p.holder = excluded.holder
RETURNING token, incarnation, sequence;
