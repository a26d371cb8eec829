"""What is kept: staging, exact loading and the Delta tables; no HTTP, no Airflow."""
