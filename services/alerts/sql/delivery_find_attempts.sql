-- How often a delivery was tried.
SELECT attempts FROM delivery WHERE delivery_id = $1;
