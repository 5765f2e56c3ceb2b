-- Switches a channel off because its endpoint said that it is gone.
UPDATE channel SET enabled = false, disabled_reason = $2, updated_at = now() WHERE name = $1;
