"""Airflow DAG: clients, sites, components and their details, once a day."""

from locus_stem.dags.inventory import locus_inventory

dag = locus_inventory()
