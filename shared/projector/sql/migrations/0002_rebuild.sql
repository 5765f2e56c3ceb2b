-- Rebuilding beside the live tables: identifiers are only ever built here, quoted by format().
CREATE FUNCTION projection_rebuild_begin(names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE name text;
BEGIN
  CREATE SCHEMA IF NOT EXISTS rebuild;
  FOREACH name IN ARRAY names LOOP
    EXECUTE format('DROP TABLE IF EXISTS rebuild.%I', name);
    EXECUTE format('CREATE TABLE rebuild.%I (LIKE public.%I INCLUDING ALL)', name, name);
  END LOOP;
END $$;

CREATE FUNCTION projection_rebuild_swap(names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY names LOOP
    EXECUTE format('DROP TABLE public.%I', name);
    EXECUTE format('ALTER TABLE rebuild.%I SET SCHEMA public', name);
  END LOOP;
END $$;
