-- One route.
SELECT body FROM route WHERE name = $1;
