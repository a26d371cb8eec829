"""Airflow DAGs of the default account, with alerts delivered to a ticketing system."""

from locus_stem.dags import LocusAccount, account_dags

account_dags(LocusAccount(), defaults={"locus_alert_sync": {"webhook_conn_id": "tickets"}})
