-- Energy in kWh of each site and local day, from hourly values.
SELECT s.name, d.local_date, sum(d."Wh_sum") / 1000 AS energy_kwh
FROM locus_site_data d JOIN locus_sites s ON s.site_id = d.site_id
WHERE d.granularity = 'hourly'
GROUP BY s.name, d.local_date
ORDER BY s.name, d.local_date
