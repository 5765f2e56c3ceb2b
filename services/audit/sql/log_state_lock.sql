-- The single row that serialises all writers of the log; the next index is the size.
SELECT tree_size FROM log_state FOR UPDATE;
