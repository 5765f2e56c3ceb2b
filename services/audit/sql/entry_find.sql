-- One entry by its id.
SELECT index, id, timestamp, received_at, event_type, severity, category, actor, tenant, ip_address, user_agent, endpoint, path,
  method, status_code, duration_ms, bytes_in, bytes_out, route, action, resource, status, details, changes, request_id,
  trace_id, session_id, source, source_id, origin, onbehalfof
FROM entry WHERE id = $1;
