"""Airflow DAG: fail where intervals of the last week are missing."""

from datetime import UTC, date, datetime, timedelta

from airflow.sdk import dag, task


@dag(schedule="0 18 * * *", start_date=datetime(2025, 1, 1, tzinfo=UTC), catchup=False)
def coverage_check():
    """Look for holes in the measurements of the sites."""

    @task
    def missing():
        from locus_stem.hooks.lake import open_lake

        rows = open_lake().read(
            "coverage",
            columns=["entity_id", "field", "local_date", "expected", "received", "null_count"],
            filters=[
                ("source", "=", "locus_site_data"),
                ("local_date", ">=", date.today() - timedelta(days=7)),
            ],
        )
        holes = [row for row in rows.to_pylist() if row["expected"] > row["received"] + row["null_count"]]
        if holes:
            raise ValueError(f"{len(holes)} holes, the first one: {holes[0]}")

    missing()


checked = coverage_check()
