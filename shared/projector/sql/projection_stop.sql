-- Says why a projection of the event stream stopped; cleared when it applies again.
UPDATE projection SET stopped_reason = $2 WHERE name = $1;
