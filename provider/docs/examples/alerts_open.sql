-- Open alerts, the oldest first.
SELECT alert_id, site_name, component_name, alert_type, priority, start
FROM locus_alerts
WHERE "end" IS NULL AND withdrawn_at IS NULL
ORDER BY start
