-- An event reached the stream.
DELETE FROM announcement WHERE event_id = $1;
