"""The data's path, step by step: plan, extract, load, report; no Airflow."""
