"""Airflow DAG: months of all sites in bulk, once a month, and any range on demand."""

from locus_stem.dags.monthly_bulk import locus_monthly_bulk

dag = locus_monthly_bulk()
