"""Airflow DAG: alerts as they open, change and close, every 15 minutes, and to a webhook."""

from locus_stem.dags.alert_sync import locus_alert_sync

dag = locus_alert_sync()
