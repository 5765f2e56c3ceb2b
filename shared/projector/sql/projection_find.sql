-- Where one projection stands.
SELECT name, incarnation, sequence, holder, stopped_reason FROM projection WHERE name = $1;
