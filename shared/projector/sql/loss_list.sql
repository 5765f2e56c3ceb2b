-- The ranges that this projection lost to purging.
SELECT incarnation, first_sequence, last_sequence, noted_at FROM projection_loss WHERE projection = $1 ORDER BY noted_at;
