"""Exact loading behind a user's own extraction: JSON lines and Parquet into real tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.execution_time.context import OutletEventAccessors
from deltalake import DeltaTable

from locus_stem.hooks.locus import LocusHook
from locus_stem.operators.endpoint import LocusEndpointOperator
from locus_stem.operators.inventory import LocusInventoryOperator
from locus_stem.operators.measurements import LoadMeasurementsOperator
from locus_stem.planning.intervals import interval_end
from locus_stem.planning.timestamps import interval_start_from_answer
from locus_stem.tables.lake import Lake

SITE, OTHER = 3_000_001, 3_000_003  # Los Angeles and Berlin
FIELDS = ["Wh_sum", "W_avg"]
BEGUN = datetime.now(UTC)
DAY = (BEGUN - timedelta(days=3)).date()
START, END = f"{DAY}T00:00:00+00:00", f"{DAY + timedelta(days=1)}T00:00:00+00:00"
TI = SimpleNamespace(
    dag_id="d",
    run_id="r",
    task_id="load",
    map_index=-1,
    try_number=1,
    get_first_reschedule_date=lambda _: None,
)
DAG_RUN = SimpleNamespace(dag_id="d", run_id="r", start_date=BEGUN, run_after=BEGUN)
CONTEXT = {"ti": TI, "dag_run": DAG_RUN, "outlet_events": OutletEventAccessors()}


@pytest.fixture
def lake(tmp_path, connections):
    found = Lake(f"file://{tmp_path}/lake")
    LocusInventoryOperator(task_id="inventory", lake_uri=found.uri).execute(CONTEXT)
    return found


@pytest.fixture
def extracted(run, tmp_path):
    """Extract a day of a site to a file, as a user's task does."""

    def extract(site=SITE, fields=FIELDS):
        arguments = {
            "site_id": site,
            "fields": fields,
            "gran": "hourly",
            "tz": "UTC",
            "start": f"{DAY}T00:00:00",
            "end": f"{DAY}T23:59:59",
        }
        path = f"file://{tmp_path}/{site}.jsonl"
        return run(
            LocusEndpointOperator(task_id="ask", endpoint="get_site_data", arguments=arguments, path=path)
        )["path"]

    return extract


def load(run, lake, path, **given):
    asked = {
        "level": "site",
        "granularity": "hourly",
        "entity_ids": [SITE],
        "fields": FIELDS,
        "start": START,
        "end": END,
        **given,
    }
    return run(LoadMeasurementsOperator(task_id="load", path=path, lake_uri=lake.uri, **asked), **CONTEXT)


def stored(lake, site=SITE):
    rows = lake.read("locus_site_data").to_pylist()
    return {row["ts"]: [row.get(field) for field in FIELDS] for row in rows if row["site_id"] == site}


def answered(path):
    rows = [json.loads(line) for line in Path(path.removeprefix("file://")).read_text().splitlines()]
    return {datetime.fromisoformat(row["ts"]): [row.get(field) for field in FIELDS] for row in rows}


def version(lake):
    return DeltaTable(lake.table_uri("locus_site_data")).version()


def test_the_table_equals_the_file_and_a_second_load_changes_nothing(run, lake, extracted):
    path = extracted()
    counts = load(run, lake, path)
    assert counts["new"] == 24
    assert stored(lake) == answered(path)
    before = version(lake)
    assert load(run, lake, path)["unchanged"] == 24
    assert version(lake) == before
    coverage = lake.read("coverage").to_pylist()
    assert sum(row["received"] for row in coverage if row["field"] == "Wh_sum") <= 24
    assert {row["entity_id"] for row in coverage if row["source"] == "locus_site_data"} == {str(SITE)}


def test_values_that_are_no_longer_there_become_null_and_others_stay(run, lake, extracted, server):
    load(run, lake, [extracted(SITE), extracted(OTHER)], entity_ids=f"{SITE},{OTHER}")
    other = stored(lake, OTHER)
    begin = datetime.fromisoformat(START) + timedelta(hours=20)
    server.revise("site", SITE, begin, begin + timedelta(hours=2), withdraw=True)
    path = extracted()
    counts = load(run, lake, path)
    assert counts["withdrawn"] == 2
    assert [stored(lake)[begin + timedelta(hours=hour)] for hour in (0, 1)] == [[None, None]] * 2
    assert stored(lake, OTHER) == other
    empty = path.replace(str(SITE), "empty")
    Path(empty.removeprefix("file://")).touch()
    load(run, lake, empty, entity_ids=[OTHER])
    assert set(map(tuple, stored(lake, OTHER).values())) == {(None, None)}


def test_parquet_and_daily_values_stand_at_the_sites_own_midnight(run, lake, tmp_path):
    zone = "Europe/Berlin"
    period = {"start": f"{DAY - timedelta(days=5)}T00:00:00", "end": f"{DAY}T23:59:59", "tz": zone}
    rows = LocusHook().get_site_data(OTHER, fields=FIELDS, gran="daily", **period)
    starts = [interval_start_from_answer(row["ts"], zone, "daily") for row in rows]
    table = pa.table(
        {
            "id": pa.array([OTHER] * len(rows)),
            "ts": pa.array(starts, pa.timestamp("ms", "UTC")),
            **{name: pa.array([row.get(name) for row in rows], pa.float64()) for name in FIELDS},
        }
    )
    pq.write_table(table, tmp_path / "daily.parquet")
    window = {"start": starts[0], "end": interval_end(starts[-1], zone, "daily"), "granularity": "daily"}
    counts = load(run, lake, f"file://{tmp_path}/daily.parquet", entity_ids=[OTHER], **window)
    assert counts["new"] == len(rows) == 6
    assert stored(lake, OTHER) == {
        at: [row.get(name) for name in FIELDS] for at, row in zip(starts, rows, strict=True)
    }
    as_text = tmp_path / "daily.jsonl"
    as_text.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    counts = load(run, lake, f"file://{as_text}", entity_ids=[OTHER], **window)
    assert (counts["unchanged"], counts["new"], counts["changed"]) == (6, 0, 0)


def test_intervals_still_open_when_it_was_asked_wait_for_the_next_load(run, lake, extracted):
    noon = f"{DAY}T12:30:00+00:00"
    assert load(run, lake, extracted(), asked_at=noon)["new"] == 12
    assert max(stored(lake)) == datetime.fromisoformat(f"{DAY}T11:00:00+00:00")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"level": "planet"}, "level: 'planet'"),
        ({"granularity": "latest"}, "granularity: 'latest'"),
        ({"entity_ids": []}, "entity_ids"),
        ({"entity_ids": ["a"]}, "entity_ids: 'a'"),
        ({"entity_ids": [99]}, r"entity_ids: \[99\].*locus_inventory"),
        ({"start": "2025-10-01"}, "start: '2025-10-01'.*zone"),
        ({"end": START}, "end: .*after start"),
        ({"fields": ["ts"]}, "ts"),
        ({"fields": None}, "fields: None"),
    ],
)
def test_wrong_arguments_fail_at_once_and_load_nothing(run, lake, extracted, given, words):
    with pytest.raises(AirflowFailException, match=words):
        load(run, lake, extracted(), **given)
    assert lake.open("locus_site_data") is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nonsense", "line 1 of .*a JSON object"),
        ("[1]", "a JSON object"),
        ('{"ts": "2025-10-01T00:00:00Z"}', "id nothing"),
        (f'{{"id": {SITE}, "ts": "today"}}', r"text of 5 character\(s\)"),
        (f'{{"id": {SITE}, "ts": "{START}", "Wh_sum": "much"}}', "Wh_sum"),
    ],
)
def test_a_file_that_can_not_be_read_is_named_and_loads_nothing(run, lake, tmp_path, line, words):
    (tmp_path / "rows.jsonl").write_text(f"{line}\n")
    with pytest.raises(AirflowFailException, match=words):
        load(run, lake, f"file://{tmp_path}/rows.jsonl")
    assert lake.open("locus_site_data") is None
    assert not list((tmp_path / "lake" / "_staging").iterdir())
