"""Assets and lineage as names: what a table is called, and what a task says of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from locus_stem.assets import table_asset
from locus_stem.operators.backfill import LoadBackfillOperator, LocusExtractOperator
from locus_stem.operators.lineage import dataset_name
from locus_stem.pipelines.extract import ENDPOINTS
from locus_stem.pipelines.knowledge import AVAILABLE, CLIENTS, COMPONENTS, INSTALL_INFO, MODEL_SETTINGS, SITES
from locus_stem.pipelines.sources import SOURCES
from locus_stem.tables.counts import LoadCounts, summed
from locus_stem.tables.lake import Lake
from locus_stem.tables.schemas import SPECS
from locus_stem.tables.state import state_of
from locus_stem.tables.upsert import upsert
from locus_stem.tables.values import table_of

EXAMPLE = Path(__file__).parents[3] / "provider" / "docs" / "examples" / "after_load.py"


@pytest.fixture
def lake(tmp_path):
    return Lake(f"file://{tmp_path}/a lake")


@pytest.fixture
def load(lake):
    return LoadBackfillOperator(task_id="load", staging="", lake_uri=lake.uri)


@pytest.fixture
def said(load, lake):
    """Say that tables were written; give the events that the task would send."""

    def say(written, **about):
        context = {"outlet_events": OutletEventAccessors()}
        load.wrote(context, lake, written, **about)
        (alias,) = load.outlets
        return {
            event.dest_asset_key.name: (event.dest_asset_key.uri, event.extra)
            for event in context["outlet_events"][alias].asset_alias_events
        }

    return say


def store_sites(lake, *ids):
    spec = SPECS["locus_sites"]
    return upsert(lake, spec.name, table_of(spec, [{"site_id": one} for one in ids], spec.schema()))


def test_every_table_has_an_asset_and_nothing_else_has():
    shown = {name for name in SPECS if not name.startswith("_")}  # the others are the package's own memory
    assert SOURCES.keys() == shown
    assert {table_asset(table).name for table in shown} == shown
    with pytest.raises(ValueError, match=r"'locus_site' is refused; allowed: one of locus_clients, "):
        table_asset("locus_site")


@pytest.mark.parametrize(
    ("table", "arguments", "name", "uri"),
    [
        ("locus_sites", {}, "locus_sites", "s3://b/lake/locus_sites"),
        ("locus_sites", {"conn_id": "locus_default"}, "locus_sites", "s3://b/lake/locus_sites"),
        ("locus_sites", {"conn_id": "west"}, "locus_sites__west", "s3://b/lake/west/locus_sites"),
        (
            "locus_sites",
            {"conn_id": "west", "lake_uri": "file:///w/"},
            "locus_sites__west",
            "file:///w/locus_sites",
        ),
        ("stem_streams", {}, "stem_streams", "s3://b/lake/stem_streams"),
        ("stem_streams", {"conn_id": "east"}, "stem_streams__east", "s3://b/lake/east/stem_streams"),
        ("coverage", {"conn_id": "stem_default"}, "coverage", "s3://b/lake/coverage"),
        ("runs", {"conn_id": "locus_default"}, "runs", "s3://b/lake/runs"),
        (
            "runs",
            {"lake_uri": "abfss://c@a.dfs.core.windows.net/l"},
            "runs",
            "abfss://c@a.dfs.core.windows.net/l/runs",
        ),
        ("runs", {"lake_uri": "gs://bucket/My Lake"}, "runs", "gs://bucket/My Lake/runs"),
        ("runs", {"lake_uri": "s3://other_connection@bucket/l"}, "runs", "s3://bucket/l/runs"),
        (
            "runs",
            {"lake_uri": "abfss://wasb_default@c@a.dfs.core.windows.net/l"},
            "runs",
            "abfss://c@a.dfs.core.windows.net/l/runs",
        ),
    ],
)
@pytest.mark.parametrize("lake", ["s3://b/lake/", "s3://aws_default@b/lake"])
def test_an_asset_is_the_tables_name_and_address(monkeypatch, table, arguments, name, uri, lake):
    monkeypatch.setenv("AIRFLOW__LOCUS_STEM__LAKE_URI", lake)
    assert table_asset(table, **arguments) == Asset(name=name, uri=uri)
    assert table_asset(table, **arguments).uri == uri


@pytest.mark.parametrize(
    "lake",
    [
        "s3://AKIA:ab/hidden@b/l",
        "s3a://AKIA:hidden@b/l",
        "abfss://c:hidden@a.dfs.core.windows.net/l",
        "AKIA:hidden@b",
    ],
)
def test_a_lakes_address_in_which_keys_stand_is_no_assets(lake):
    with pytest.raises(ValueError, match="allowed are file:///absolute/folder") as caught:
        table_asset("runs", lake_uri=lake)
    assert "hidden" not in str(caught.value)


def test_a_dag_file_that_names_a_table_imports_nothing_heavy():
    code = (
        f"import runpy, sys; runpy.run_path({str(EXAMPLE)!r}); "
        "print(*({'deltalake', 'pyarrow', 'openlineage'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1:] in ([], [""]), done.stdout


def test_the_sources_are_the_endpoints_that_the_pipelines_ask():
    asked = {(item.table, item.endpoint) for item in (CLIENTS, SITES, COMPONENTS)}
    asked |= {(item.table, item.endpoint) for item in (INSTALL_INFO, MODEL_SETTINGS, *AVAILABLE.values())}
    asked |= {(f"locus_{kind}_data", ENDPOINTS[kind]) for kind in ("site", "component")}
    for table, endpoint in asked:
        assert endpoint in SOURCES[table]
    told = {table for table, _ in asked}
    assert sum(len(SOURCES[table]) for table in told) == len(asked)


def test_only_a_task_that_writes_has_an_outlet_and_it_is_the_accounts():
    load = LoadBackfillOperator(task_id="load", staging="", conn_id="west")
    assert load.outlets == [AssetAlias("locus_tables__west")]
    assert LoadBackfillOperator(task_id="other", staging="").outlets == [AssetAlias("locus_tables")]
    assert LocusExtractOperator(task_id="extract", batch="").outlets == []
    mine = Asset(name="mine", uri="file:///mine")
    both = LoadBackfillOperator(task_id="third", staging="", outlets=[mine])
    assert both.outlets == [mine, AssetAlias("locus_tables")]


def test_the_event_has_the_version_of_the_tasks_own_last_commit(said, load, lake, monkeypatch):
    monkeypatch.setattr(type(load), "tables", ("locus_sites",))
    counts = store_sites(lake, 1, 2)
    store_sites(lake, 3)  # of somebody else
    assert state_of(lake, "locus_sites").version == 2
    assert said({"locus_sites": counts}, start="2025-10-01")["locus_sites"] == (
        f"{lake.uri}/locus_sites",
        {
            "rows_new": 2,
            "rows_changed": 0,
            "rows_unchanged": 0,
            "rows_withdrawn": 0,
            "version": 1,
            "start": "2025-10-01",
        },
    )


def test_a_load_that_changed_nothing_has_an_event_with_the_present_version(said, load, lake, monkeypatch):
    monkeypatch.setattr(type(load), "tables", ("locus_sites",))
    store_sites(lake, 1, 2)
    _, extra = said({"locus_sites": store_sites(lake, 1, 2)})["locus_sites"]
    assert (extra["rows_unchanged"], extra["rows_new"], extra["version"]) == (2, 0, 1)
    assert json.loads(json.dumps(extra)) == extra


def test_a_table_that_cannot_be_read_any_more_does_not_fail_the_task(said, load, mocker):
    mocker.patch("locus_stem.tables.state.state_of", side_effect=OSError("gone"))
    _, extra = said({"coverage": LoadCounts(new=1)})["coverage"]
    assert (extra["version"], extra["rows_new"]) == (None, 1)
    (output,) = load.get_openlineage_facets_on_complete(None).outputs
    assert "schema" not in output.facets


def test_a_missing_connection_does_not_fail_a_load(said, load, mocker):
    mocker.patch("locus_stem.operators.account.lineage_wanted", return_value=True)
    assert said({"locus_site_data": LoadCounts()}).keys() == {"locus_site_data"}
    found = load.get_openlineage_facets_on_complete(None)
    assert found.inputs == []
    assert [output.name for output in found.outputs] == [dataset_name(f"{load.lake_uri}/locus_site_data")[1]]


def test_the_lineage_has_no_part_of_the_connection_but_its_address(said, load, lake, mocker, monkeypatch):
    connection = {
        "conn_type": "locus",
        "host": "https://api.example.com/",
        "login": "somebody",
        "password": "p-secret",
        "extra": {"client_id": "c-id", "client_secret": "c-secret"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_LOCUS_DEFAULT", json.dumps(connection))
    mocker.patch("locus_stem.operators.account.lineage_wanted", return_value=True)
    said({"locus_site_data": LoadCounts(new=3, changed=2, withdrawn=1)})
    found = load.get_openlineage_facets_on_complete(None)
    assert [(one.namespace, one.name) for one in found.inputs] == [
        ("https://api.example.com", "/v3/sites/{site_id}/data")
    ]
    (output,) = found.outputs
    assert output.outputFacets["outputStatistics"].rowCount == 6
    assert not [word for word in ("somebody", "secret", "c-id") if word in str(found)]


def test_without_openlineage_no_connection_is_looked_up(said, load, mocker):
    mocker.patch.dict(sys.modules, {"airflow.providers.openlineage.conf": None})
    hook = mocker.patch.object(type(load), "hook", return_value=SimpleNamespace())
    assert said({"locus_site_data": LoadCounts()}).keys() == {"locus_site_data"}
    hook.assert_not_called()


def test_columns_are_named_with_their_types_as_delta_has_them(lake):
    spec = SPECS["locus_data_available"]
    upsert(lake, spec.name, table_of(spec, [], spec.schema()))
    kinds = dict(state_of(lake, spec.name).columns)
    assert (kinds["entity_id"], kinds["granularities"], kinds["unit"]) == ("long", "array<string>", "string")
    assert state_of(lake, "runs") is None


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("file:///lake/a%20b/runs", ("file", "/lake/a b/runs")),
        ("/plain/path.jsonl", ("file", "/plain/path.jsonl")),
        ("s3://bucket/lake/runs", ("s3://bucket", "lake/runs")),
        ("s3://my_connection@bucket/rows.jsonl", ("s3://bucket", "rows.jsonl")),
        ("gs://bucket/lake/runs", ("gs://bucket", "lake/runs")),
        (
            "abfss://c@a.dfs.core.windows.net/lake/runs",
            ("abfss://c@a.dfs.core.windows.net", "lake/runs"),
        ),
    ],
)
def test_datasets_are_named_as_openlineage_names_them(address, name):
    assert dataset_name(address) == name


def test_rows_by_table_are_added_up():
    one, other = (
        {"a": LoadCounts(1, versions={"": 1}), "b": LoadCounts(2)},
        {"a": LoadCounts(0, 3, versions={"": 2})},
    )
    assert summed(one, other) == {"a": LoadCounts(1, 3, versions={"": 2}), "b": LoadCounts(2)}
