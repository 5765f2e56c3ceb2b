-- One quarantined message that still waits.
SELECT id, quarantined_at, stream, sequence, subject, reason, size, payload FROM quarantine WHERE is_open AND id = $1;
