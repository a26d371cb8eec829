"""Airflow hooks: credentials from connections."""
