-- Share of intervals with a value, by day.
SELECT source, granularity, local_date,
       sum(received) / sum(expected) AS share,
       count(DISTINCT entity_id) AS entities
FROM coverage
WHERE granularity <> '' AND expected > 0
GROUP BY source, granularity, local_date
ORDER BY local_date
