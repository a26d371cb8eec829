"""Airflow DAGs of the northern plants: 15-minute data, an hour earlier, in a bucket of their own, more retries."""

from locus_stem.dags import LocusAccount, account_dags

account_dags(
    LocusAccount("locus_north", lake_uri="s3://north-plants/lake", default_args={"retries": 12}),
    schedules={"locus_daily_backfill": "0 11 * * *", "locus_inventory": "0 10 * * *"},
    defaults={"locus_daily_backfill": {"granularity": "15min", "lookback_days": 14}},
)
