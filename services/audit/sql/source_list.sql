-- What was taken in of each source of records, and whether a successor closed it.
SELECT s.source, s.applied, c.source IS NULL AS alive
FROM projection_source AS s LEFT JOIN closed_source AS c ON c.source = s.source
WHERE s.projection = 'traffic'
ORDER BY s.source;
