-- How many wait, by kind.
SELECT kind, count(place) AS queued FROM delivery WHERE state = 'queued' GROUP BY kind;
