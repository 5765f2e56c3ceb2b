-- An event that must reach the stream after this transaction.
INSERT INTO announcement (event_id, subject, event) VALUES ($1, $2, $3);
