-- Removes pending alerts that never fired.
DELETE FROM alert WHERE alert_id = ANY ($1::text[]) AND state = 'pending';
