-- Makes empty twins of the tables in the schema rebuild.
SELECT projection_rebuild_begin($1::text[]);
