-- What stands under a key.
SELECT request, answer FROM idempotent_answer WHERE id = $1;
