-- What a restore would change.
UPDATE restore SET plan = $2 WHERE restore_id = $1;
