-- Notes the bucket's creation time; a row when it is another bucket than before, or the first.
INSERT INTO view_bucket AS known (created) VALUES ($1)
ON CONFLICT (is_single) DO UPDATE SET created = excluded.created WHERE known.created <> excluded.created
RETURNING created;
