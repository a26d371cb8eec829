"""Airflow DAGs of the sandbox's account; nothing is tried again, so that failures end soon."""

from __future__ import annotations

from locus_stem.dags import LocusAccount, StemAccount, account_dags

ONCE = {"retries": 0}
account_dags(
    LocusAccount(default_args=ONCE),
    StemAccount(default_args=ONCE),
    defaults={
        "locus_alert_sync": {"webhook_conn_id": "webhook_good"},
        "locus_daily_backfill": {"lookback_days": 1},
    },
)
