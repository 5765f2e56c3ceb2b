-- The log grows in the transaction that adds the entries; the single row serialises all writers. Returns its new size.
UPDATE log_state SET tree_size = tree_size + $1 RETURNING tree_size;
