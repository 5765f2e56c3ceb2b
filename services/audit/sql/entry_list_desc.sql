-- A page of the log by keyset on the index. Filters that are null do not filter: with a custom plan (shared/db) the
-- planner sees which are set and takes the index that pays; the rest filters along it.
SELECT index, id, timestamp, received_at, event_type, severity, category, actor, tenant, ip_address, user_agent, endpoint, path,
  method, status_code, duration_ms, bytes_in, bytes_out, route, action, resource, status, details, changes, request_id,
  trace_id, session_id, source, source_id, origin, onbehalfof
FROM entry
WHERE ($2::bigint IS NULL OR index < $2)
  AND ($3::bigint IS NULL OR index < $3)
  AND ($4::timestamptz IS NULL OR timestamp >= $4)
  AND ($5::timestamptz IS NULL OR timestamp < $5)
  AND ($6::text IS NULL OR event_type = $6)
  AND ($7::text IS NULL OR severity = $7)
  AND ($8::text IS NULL OR actor = $8)
  AND ($9::text IS NULL OR tenant = $9)
  AND ($10::text IS NULL OR category = $10)
  AND ($11::text IS NULL OR action = $11)
  AND ($12::text IS NULL OR resource = $12)
  AND ($13::text IS NULL OR status = $13)
  AND ($14::text IS NULL OR ip_address = $14)
  AND ($15::text IS NULL OR endpoint = $15)
  AND ($16::text IS NULL OR request_id = $16)
  AND ($17::text IS NULL OR trace_id = $17)
  AND ($18::text IS NULL OR session_id = $18)
  AND ($19::text IS NULL OR source_id = $19)
  AND ($20::text IS NULL OR to_tsvector('simple', concat_ws(' ', event_type, actor, resource, endpoint, path, details::text))
    @@ websearch_to_tsquery('simple', $20))
ORDER BY index desc
LIMIT $1;
