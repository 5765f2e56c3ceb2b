-- Removes a deleted route.
DELETE FROM route WHERE name = $1;
