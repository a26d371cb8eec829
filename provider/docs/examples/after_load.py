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
        """Give the spans in which something changed."""
        loads = [event.extra for event in triggering_asset_events[SITE_DATA]]
        return [
            {"start": load["start"], "end": load["end"], "version": load["version"]}
            for load in loads
            if load["rows_new"] + load["rows_changed"] + load["rows_withdrawn"] > 0
        ]

    changed()


after_load()
