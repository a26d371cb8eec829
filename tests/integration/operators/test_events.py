"""Events of tables as operators send them: over several turns, after a killed try, of another account, of own rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from locus_stem.assets import table_asset
from locus_stem.operators.inventory import INVENTORY_TABLES, LocusInventoryOperator
from locus_stem.operators.measurements import LoadMeasurementsOperator
from locus_stem.operators.stem import (
    LoadStreamsOperator,
    StemExtractStreamsOperator,
    StemPlanStreamsOperator,
)
from locus_stem.pipelines.slot import Turn
from locus_stem.tables.lake import Lake
from locus_stem.tables.state import state_of

SITE = 3_000_001


@pytest.fixture
def lake(tmp_path):
    return Lake(f"file://{tmp_path}/lake")


@pytest.fixture
def execute(connections):
    """Execute an operator as one try of a task; give its events by the assets' names."""

    def executed(operator, *, try_number=1, first_turn=None, params=None):
        now = datetime.now(UTC)
        ti = SimpleNamespace(
            dag_id="d",
            run_id="r",
            task_id=operator.task_id,
            map_index=-1,
            try_number=try_number,
            get_first_reschedule_date=lambda _: first_turn,
            xcom_push=lambda key, value: None,
        )
        dag_run = SimpleNamespace(
            dag_id="d", run_id="r", run_type="manual", start_date=now, run_after=now, data_interval_start=now
        )
        context = {"ti": ti, "dag_run": dag_run, "params": params or {}}
        context["outlet_events"] = OutletEventAccessors()
        executed.returned = operator.execute(context)
        (alias,) = operator.outlets
        events = context["outlet_events"][alias].asset_alias_events
        return {event.dest_asset_key.name: (event.dest_asset_key.uri, event.extra) for event in events}

    return executed


def inventory(lake, **given):
    return LocusInventoryOperator(task_id="inventory", lake_uri=lake.uri, **given)


def own_rows(lake, file, **values):
    row = {"id": SITE, "ts": "2025-10-01T10:00:00+00:00", **values}
    file.write_text(f"{json.dumps(row)}\n")
    return LoadMeasurementsOperator(
        task_id="load",
        lake_uri=lake.uri,
        path=f"file://{file}",
        level="site",
        granularity="hourly",
        entity_ids=[SITE],
        fields=list(values),
        start="2025-10-01T02:00:00+02:00",
        end="2025-10-02T00:00:00+00:00",
    )


def test_an_inventory_of_several_turns_tells_all_of_them_in_its_last(lake, execute, mocker):
    begun = datetime.now(UTC)
    mocker.patch.object(Turn, "over", side_effect=chain([False] * 5, repeat(True)))
    with pytest.raises(AirflowRescheduleException):
        execute(inventory(lake))
    mocker.stopall()
    events = execute(inventory(lake), first_turn=begun)
    assert events.keys() == {*INVENTORY_TABLES, "coverage", "runs"}
    for table in INVENTORY_TABLES:
        uri, extra = events[table]
        assert uri == lake.table_uri(table)
        assert extra["rows_new"] == lake.read(table).num_rows > 0
        assert extra["version"] == state_of(lake, table).version
    assert not list(Path(lake.filesystem()[1], "_staging").iterdir())


def test_what_a_killed_try_loaded_is_told_by_the_next(lake, execute, mocker):
    mocker.patch.object(LocusInventoryOperator, "_record", side_effect=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        execute(inventory(lake))
    mocker.stopall()
    events = execute(inventory(lake), try_number=2)
    assert events.keys() == {*INVENTORY_TABLES, "coverage", "runs"}
    assert events["locus_install_info"][1]["version"] == state_of(lake, "locus_install_info").version


def test_a_day_later_only_what_was_asked_again_is_told(lake, execute, mocker):
    execute(inventory(lake))
    mocker.patch("locus_stem.pipelines.inventory.fetched_since", return_value=[])
    events = execute(inventory(lake))
    assert events.keys() == {"locus_clients", "locus_sites", "locus_components", "coverage", "runs"}
    assert {events[table][1]["rows_new"] for table in ("locus_clients", "locus_sites")} == {0}


def test_another_accounts_events_are_of_its_own_assets(lake, execute, connections, tmp_path, monkeypatch):
    connections("locus_west", "locus_default")
    monkeypatch.setenv("AIRFLOW__LOCUS_STEM__LAKE_URI", lake.uri)
    events = execute(LocusInventoryOperator(task_id="west", conn_id="locus_west"))
    asset = table_asset("locus_sites", conn_id="locus_west")
    assert events[asset.name][0] == asset.uri == f"{lake.uri}/locus_west/locus_sites"
    assert {name.removesuffix("__locus_west") for name in events} == {*INVENTORY_TABLES, "coverage", "runs"}
    assert all(name.endswith("__locus_west") for name in events)


def test_own_rows_are_an_event_of_their_level_and_their_files_are_its_lineage(lake, execute, tmp_path):
    execute(inventory(lake))
    rows = tmp_path / "rows.jsonl"
    load = own_rows(lake, rows, Wh_sum=5.0)
    events = execute(load)
    assert events.keys() == {"locus_site_data", "coverage"}
    assert events["locus_site_data"] == (
        lake.table_uri("locus_site_data"),
        {
            "rows_new": 1,
            "rows_changed": 0,
            "rows_unchanged": 0,
            "rows_withdrawn": 0,
            "version": 1,
            "version_before": None,
            "start": "2025-10-01T00:00:00+00:00",
            "end": "2025-10-02T00:00:00+00:00",
            "granularity": "hourly",
            "level": "site",
        },
    )
    found = load.get_openlineage_facets_on_complete(None)
    assert [(one.namespace, one.name) for one in found.inputs] == [("file", str(rows))]
    assert len(found.outputs) == 2


def test_rows_that_a_killed_try_committed_lie_between_the_versions_of_the_next(
    lake, execute, tmp_path, mocker
):
    execute(inventory(lake))
    execute(own_rows(lake, tmp_path / "rows.jsonl", Wh_sum=5.0))
    mocker.patch("locus_stem.pipelines.own_rows.record_coverage", side_effect=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        execute(own_rows(lake, tmp_path / "rows.jsonl", Wh_sum=6.0))
    mocker.stopall()
    _, extra = execute(own_rows(lake, tmp_path / "rows.jsonl", Wh_sum=6.0), try_number=2)["locus_site_data"]
    assert (extra["rows_changed"], extra["rows_unchanged"]) == (0, 1)
    assert (extra["version_before"], extra["version"]) == (1, 2)
    assert not list(Path(lake.filesystem()[1], "_staging").iterdir())


def test_stems_lists_and_streams_are_events_and_lineage_of_its_own_tables(lake, execute):
    day = {"start": "2025-10-01", "end": "2025-10-02", "stream_types": ["MONITOR"]}
    events = execute(StemPlanStreamsOperator(task_id="plan", lake_uri=lake.uri), params=day)
    assert {name: extra["rows_new"] for name, (_, extra) in events.items() if name != "coverage"} == {
        name: lake.read(name).num_rows for name in ("stem_clients", "stem_sites")
    }
    (batch,) = execute.returned
    extract = StemExtractStreamsOperator(task_id="extract", lake_uri=lake.uri, batch=batch)
    extract.outlets = [AssetAlias("none")]
    execute(extract)
    load = LoadStreamsOperator(task_id="load", lake_uri=lake.uri, staging=batch.rpartition("/")[0])
    assert load.outlets == [AssetAlias("stem_tables")]
    events = execute(load)
    assert events.keys() == {"stem_streams", "coverage"}
    uri, extra = events["stem_streams"]
    assert uri == table_asset("stem_streams", lake_uri=lake.uri).uri
    assert extra["rows_new"] == lake.read("stem_streams").num_rows > 96
    assert (extra["start"], extra["end"]) == ("2025-10-01T00:00:00+00:00", "2025-10-02T00:00:00+00:00")
    assert (extra["granularity"], extra["level"], extra["version_before"]) == ("900", "site", None)
    outputs = {one.name: one for one in load.get_openlineage_facets_on_complete(None).outputs}
    assert {column.name for column in outputs[uri.removeprefix("file://")].facets["schema"].fields} >= {
        "site_id",
        "kw_total_avg",
    }
