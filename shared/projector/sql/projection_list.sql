-- Where every projection of this database stands.
SELECT name, incarnation, sequence, holder, stopped_reason FROM projection ORDER BY name;
