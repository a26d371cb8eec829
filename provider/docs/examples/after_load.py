"""An Airflow DAG that runs after each load of the table locus_site_data."""

from __future__ import annotations

from airflow.sdk import dag, task

from locus_stem.assets import table_asset

SITE_DATA = table_asset("locus_site_data")


@dag(schedule=[SITE_DATA], catchup=False)
def after_load():
    """Look at what was loaded."""

    @task
    def changed(triggering_asset_events):
        """Give the spans in which something may have changed, and the table's versions before and after."""
        loads = [event.extra for event in triggering_asset_events[SITE_DATA]]
        return [
            {key: load[key] for key in ("start", "end", "version_before", "version")}
            for load in loads
            if load["version"] != load["version_before"]
        ]

    changed()


after_load()
