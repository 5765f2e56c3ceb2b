-- Makes the rows of new series, in one order, so that two writers never wait for each other in a ring.
INSERT INTO series (rule, group_id, group_values, shape_id, kept_until_ms)
SELECT rule, group_id, group_values, shape_id, kept_until_ms
FROM jsonb_to_recordset($1::jsonb) AS fresh (rule text, group_id text, group_values jsonb, shape_id text, kept_until_ms bigint)
ORDER BY rule, group_id
ON CONFLICT (rule, group_id) DO NOTHING;
