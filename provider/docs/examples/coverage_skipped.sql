-- What the API refused last, and why.
SELECT source, entity_type, entity_id, field, local_date, skipped
FROM coverage
WHERE skipped IS NOT NULL
ORDER BY local_date DESC
