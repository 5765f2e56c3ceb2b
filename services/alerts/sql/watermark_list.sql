-- How far each reader has come, in its stream and in event time.
SELECT p.name, p.sequence, w.moment FROM projection AS p LEFT JOIN watermark AS w ON w.projection = p.name
WHERE p.name = ANY ($1::text[]);
