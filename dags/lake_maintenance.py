"""Airflow DAG: compaction, vacuum and expiry of old versions of the lake's tables, once a week."""

from locus_stem.dags.lake_maintenance import lake_maintenance

dag = lake_maintenance()
