-- The unit of each field of the sites.
SELECT DISTINCT short_name, long_name, unit, source, aggregation
FROM locus_data_available
WHERE entity_type = 'site'
ORDER BY short_name
