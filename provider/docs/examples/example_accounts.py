"""Airflow DAGs of the western plants, a second Locus account."""

from locus_stem.dags import LocusAccount, account_dags

account_dags(LocusAccount("locus_west"))
