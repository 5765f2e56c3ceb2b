-- Removes a channel.
DELETE FROM channel WHERE name = $1 AND ($2::text IS NULL OR tenant = $2) RETURNING name;
