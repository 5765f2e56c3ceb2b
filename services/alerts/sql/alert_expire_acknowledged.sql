-- An acknowledgement that expired counts as fired again.
UPDATE alert SET state = 'fired' WHERE state = 'acknowledged' AND acknowledged_until <= $1;
