-- Which of the channels named can be sent to by a rule of a tenant.
SELECT name FROM channel WHERE name = ANY ($1::text[]) AND tenant = $2 AND enabled;
