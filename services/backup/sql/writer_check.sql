-- Fails when the connection that holds the writer's lock is gone.
SELECT 1 AS alive;
