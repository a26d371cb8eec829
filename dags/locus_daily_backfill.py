"""Airflow DAG: measurements of every site, once a day, and any range on demand."""

from locus_stem.dags.daily_backfill import locus_daily_backfill

dag = locus_daily_backfill()
