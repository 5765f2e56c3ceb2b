-- Forgets series in which nothing can matter any more: no open alert, no window, no cooldown.
DELETE FROM series WHERE alert_id IS NULL AND kept_until_ms < $1;
