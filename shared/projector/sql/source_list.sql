-- The interval sets of the sources named.
SELECT source, applied FROM projection_source WHERE projection = $1 AND source = ANY ($2::text[]);
