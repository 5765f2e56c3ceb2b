-- Wakes the deliverer, whichever replica it runs in, at the commit.
SELECT pg_notify('delivery', '');
