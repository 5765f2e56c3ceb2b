-- Puts the twins in the place of the live tables; readers wait for the commit, then see the new ones.
SELECT projection_rebuild_swap($1::text[]);
