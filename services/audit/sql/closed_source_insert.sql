-- A successor's first record names the boot that it replaces.
INSERT INTO closed_source (source, closed_by) VALUES ($1, $2) ON CONFLICT DO NOTHING;
