-- Tries that met a 429: something else uses the account, or the pool is larger than its limit.
SELECT dag_id, run_id, task_id, map_index, started, requests, answered_by_status
FROM runs
WHERE answered_by_status LIKE '%"429"%'
ORDER BY started DESC
