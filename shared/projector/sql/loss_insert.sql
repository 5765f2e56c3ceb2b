-- Notes a range that was purged before it was applied.
INSERT INTO projection_loss (projection, incarnation, first_sequence, last_sequence)
VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING;
