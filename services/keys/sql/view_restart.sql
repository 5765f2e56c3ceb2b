-- Begins the view at the first event again, under a new token, so that no writer of before moves it.
UPDATE projection SET sequence = 0, token = token + 1 WHERE name = 'view';
