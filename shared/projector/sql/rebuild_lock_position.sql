-- Holds the live position still while the tables are swapped.
SELECT sequence FROM projection WHERE name = $1 FOR UPDATE;
