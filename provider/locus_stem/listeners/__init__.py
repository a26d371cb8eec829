"""What the package adds to a running Airflow: pools that a DAG run needs."""
