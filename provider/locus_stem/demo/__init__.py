"""The whole thing on one machine: the sandbox, a real Airflow, the DAGs, and proof that the tables are exact."""
