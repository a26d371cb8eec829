-- Intervals that were asked for, had ended, and came neither with a value nor with a null.
SELECT source, granularity, local_date, entity_id, field,
       expected - received - null_count AS missing
FROM coverage
WHERE expected > received + null_count AND skipped IS NULL
ORDER BY local_date DESC, missing DESC
