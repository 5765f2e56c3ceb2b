-- The notifications of one alert.
SELECT delivery_id, kind, channel, transition, state, last_error FROM delivery
WHERE alert_id = $1 AND kind IN ('nats', 'webhook') ORDER BY place;
