"""Airflow DAG: clients, sites and streams of Stem's storage, once a day, and any range on demand."""

from locus_stem.dags.stem_daily_backfill import stem_daily_backfill

dag = stem_daily_backfill()
