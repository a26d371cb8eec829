"""`stem_daily_backfill` under `dag.test()`: an empty lake, a database of its own, the sandbox over real sockets."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from locus_stem.dags.stem_daily_backfill import stem_daily_backfill
from locus_stem.demo import compare_stem
from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.demo.compare_stem import LoadedStreams
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server

TODAY = datetime.now(UTC).date()


@pytest.fixture
def server():
    with Server(Fleet(sites=3, stem_sites=8), Options(stem_page_as_text=True)) as running:
        yield running


def states(run):
    return {f"{ti.task_id}": str(ti.state) for ti in run.get_task_instances()}


def streams_asked(server):
    return [served for served in server.log if served.path.endswith("/streams")]


def test_a_logical_date_gives_the_lookback_of_its_day_and_a_second_run_asks_for_the_streams_alone(
    lake, server, capfd
):
    day = TODAY - timedelta(days=4)
    logical = datetime(day.year, day.month, day.day, 13, tzinfo=UTC)
    run = stem_daily_backfill().test(logical_date=logical)
    assert states(run) == dict.fromkeys(("plan", "extract_streams", "load", "report"), "success")
    last = day - timedelta(days=1)  # the last complete interval before 13:00 began at noon the day before
    span = LoadedStreams(900, last - timedelta(days=7), last + timedelta(days=1), datetime.now(UTC))
    found = [*compare_stem.objects(lake, server.fleet), compare_stem.streams(lake, server.fleet, [span])]
    assert [difference.examples for difference in found] == [[], [], []]
    assert found[2].rows > 8 * 8 * 96
    assert compare_stem.coverage(lake, server.fleet, [span]).examples == []
    assert "rows: " in capfd.readouterr().out
    assert not list(Path(lake.filesystem()[1], "_staging").iterdir())
    assert lake.read("runs").num_rows == 3
    asked, version = len(server.log), lake.open("stem_streams").version()
    run = stem_daily_backfill().test(logical_date=logical + timedelta(minutes=1))
    assert set(states(run).values()) == {"success"}
    assert len(server.log) - asked == len(streams_asked(server)) - 8 == 8
    assert lake.open("stem_streams").version() == version


def test_a_given_range_of_chosen_sites_and_streams_is_loaded_exactly(lake, server):
    names = server.fleet.stem.site_ids[1:4]
    assert any("/" in name for name in names)
    start, end = TODAY - timedelta(days=40), TODAY - timedelta(days=20)
    conf = {
        "start": str(start), "end": str(end), "resolution": 3600, "site_ids": names,
        "stream_types": ["MONITOR", "CONVERTER"],
    }  # fmt: skip
    run = stem_daily_backfill().test(run_conf=conf)
    assert set(states(run).values()) == {"success"}
    span = LoadedStreams(3600, start, end, datetime.now(UTC), ("MONITOR", "CONVERTER"), tuple(names))
    assert compare_stem.streams(lake, server.fleet, [span]).examples == []
    assert compare_stem.coverage(lake, server.fleet, [span]).examples == []
    assert len(streams_asked(server)) == 3


def test_plan_only_ends_well_with_the_number_of_requests(lake, server, capfd):
    run = stem_daily_backfill().test(run_conf={"plan_only": True})
    assert states(run) == {
        "plan": "success", "extract_streams": "skipped", "load": "skipped", "report": "success",
    }  # fmt: skip
    assert "8 requests for 8 entities" in capfd.readouterr().out
    assert streams_asked(server) == []


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"stream_types": ["SOLAR"]}, "MONITOR, CONVERTER, INTERVAL_REVENUE"),
        ({"site_ids": ["white house"]}, "there is no site 'white house'"),
        ({"end": "2024-01-01"}, "needs a start"),
    ],
)
def test_a_wrong_param_is_refused_by_name_before_the_first_data_request(lake, server, capfd, conf, words):
    run = stem_daily_backfill().test(run_conf=conf)
    assert states(run)["plan"] == "failed"
    said = capfd.readouterr().out
    assert f"param {next(iter(conf))}=" in said
    assert words in said
    assert streams_asked(server) == []


def test_a_wrong_key_is_tried_once_and_never_shown(lake, server, monkeypatch, capfd):
    connection = sandbox_connections(server.url)["stem_default"]
    monkeypatch.setenv("AIRFLOW_CONN_STEM_DEFAULT", json.dumps({**connection, "password": "wrong-Pa55word"}))
    run = stem_daily_backfill().test()
    assert states(run)["plan"] == "failed"
    assert len(server.log) == 1
    said = "".join(capfd.readouterr())
    assert "connection 'stem_default'" in said
    assert "wrong-Pa55word" not in said
