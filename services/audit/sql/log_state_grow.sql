-- The log grew to this size, in the transaction that added the entries.
UPDATE log_state SET tree_size = $1;
