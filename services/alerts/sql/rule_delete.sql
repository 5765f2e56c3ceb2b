-- Removes a deleted rule.
DELETE FROM rule WHERE name = $1;
