-- Starts the counts of a series anew after its alert was resolved by hand, or with its rule.
UPDATE series SET alert_id = NULL, due_ms = NULL, state = $3 WHERE rule = $1 AND group_id = $2;
