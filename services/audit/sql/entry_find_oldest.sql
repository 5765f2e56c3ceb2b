-- The time of the first entry.
SELECT timestamp FROM entry ORDER BY index LIMIT 1;
