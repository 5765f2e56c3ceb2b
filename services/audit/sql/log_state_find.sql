-- The size of the log.
SELECT tree_size FROM log_state;
