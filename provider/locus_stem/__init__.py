"""Locus Energy and Stem for Apache Airflow: measurements, alerts and assets in Delta tables."""

__version__ = "0.1.0"
