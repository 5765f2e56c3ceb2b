-- It was requeued or discarded.
UPDATE quarantine SET is_open = false WHERE id = $1 AND is_open RETURNING id;
