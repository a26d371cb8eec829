-- Requests, repeats and revisions by day and DAG.
SELECT dag_id, date_trunc('day', started) AS day,
       sum(requests) AS requests,
       sum(retries) AS retries,
       sum(api_seconds) AS api_seconds,
       sum(rows_new) AS rows_new,
       sum(rows_changed) AS rows_changed,
       sum(rows_withdrawn) AS rows_withdrawn,
       sum(entities_skipped) AS entities_skipped
FROM runs
GROUP BY dag_id, date_trunc('day', started)
ORDER BY day, dag_id
