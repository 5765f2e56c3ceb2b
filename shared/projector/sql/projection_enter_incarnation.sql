-- The stream was made anew: its numbers start again, what was applied stays.
UPDATE projection SET incarnation = $3, sequence = $4 WHERE name = $1 AND token = $2;
