"""The reference's workflows through their operators, over real sockets."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from locus_stem.hooks.locus import LocusHook
from locus_stem.operators.component_data import LocusComponentDataOperator, LocusLifetimeEnergyOperator
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Fault, Options
from locus_stem.sandbox.server import Server

SITE, METER, INVERTER = 3_000_001, 6_000_001, 6_000_002
NODE = "SB.00000000.0"
DAY = (datetime.now(UTC) - timedelta(days=3)).date()
PERIOD = {"gran": "hourly", "start": f"{DAY}T00:00:00", "end": f"{DAY}T23:59:59"}


def data(**given):
    return LocusComponentDataOperator(task_id="data", **{**PERIOD, "max_xcom_bytes": 2**22, **given})


def energy(**given):
    return LocusLifetimeEnergyOperator(task_id="energy", **given)


def measured(component_id, gran="hourly"):
    return {
        aggregation["shortName"]
        for field in LocusHook().get_component_dataavailable(component_id)
        if field["source"] == "Measured" and gran in field["granularities"]
        for aggregation in field.get("aggregations", ())
    }


def test_a_component_known_by_its_node_id_gives_every_field_that_it_measures(run, server):
    rows = run(data(component_node_id="{{ params.node }}"), params={"node": NODE})
    assert [served.path.rpartition("/")[2] for served in server.log if served.method == "GET"] == [
        "components",
        "dataavailable",
        "data",
    ]
    fields = measured(METER)
    assert {name for row in rows for name in row} == {"id", "ts", *fields}
    expected = LocusHook().get_component_data(METER, fields=sorted(fields), tz="UTC", **PERIOD)
    assert rows == expected
    assert len(rows) > 20
    assert run(data(component_id=METER)) == rows


def test_the_latest_values_need_no_period(run):
    rows = run(data(component_id=METER, gran="latest", start=None, end=None))
    assert {row["id"] for row in rows} == {METER}


def test_a_site_gives_the_rows_of_all_its_components_that_measure(run, server):
    rows = run(data(site_id=SITE))
    components = LocusHook().get_site_components(SITE)
    assert {row["id"] for row in rows} == {one["id"] for one in components if not one["isConceptualNode"]}
    assert any(one["isConceptualNode"] for one in components)


def test_of_a_site_components_that_lack_the_fields_or_are_refused_are_left_out(run, connections, caplog):
    with Server(Fleet(sites=1), Options(faults=(Fault("forbidden", target=str(METER)),))) as server:
        connections("locus_default", "locus_default", host=server.url)
        rows = run(data(site_id=SITE, fields="Wh_sum"))
        assert INVERTER in {row["id"] for row in rows}
        assert METER not in {row["id"] for row in rows}
        with pytest.raises(AirflowFailException, match="403"):
            run(data(component_id=METER))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "exactly one of component_node_id, component_id, site_id"),
        ({"component_id": METER, "site_id": SITE}, "exactly one"),
        ({"component_id": "abc"}, "component_id: 'abc'"),
        ({"component_id": METER, "gran": "weekly"}, "gran: 'weekly'"),
        ({"component_id": METER, "start": None}, "start: None"),
        ({"component_id": METER, "fields": 3}, "fields: 3"),
        ({"component_id": METER, "start": "2020-01-01T00:00:00"}, "less than 31 days"),
    ],
)
def test_wrong_arguments_fail_at_once_before_anything_is_sent(run, server, given, words):
    with pytest.raises(AirflowFailException, match=words):
        run(data(**given))
    assert len(server.log) == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"component_node_id": "no such"}, "no component with this node id"),
        ({"component_node_id": "SB.00000000.%"}, "components have such a node id: SB.00000000.0"),
        ({"component_id": METER, "fields": ["Wh_smu"]}, "did you mean Wh_sum"),
        ({"component_id": 99}, "404"),
    ],
)
def test_what_is_not_there_fails_at_once_and_says_what_is(run, given, words):
    with pytest.raises(AirflowFailException, match=words):
        run(data(**given))


def test_a_wildcard_that_fits_one_component_finds_it(run):
    rows = run(data(component_node_id="%00000000.0", fields="Wh_sum"))
    assert {row["id"] for row in rows} == {METER}


def test_the_lifetimes_energy_is_the_sum_of_its_years_in_one_data_request(run, server):
    found = run(energy(component_node_id=NODE))
    asked = [served for served in server.log if served.path.endswith("/data")]
    assert len(asked) == 1
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    rows = LocusHook().get_component_data(
        METER, fields=["Wh_sum"], gran="yearly", tz="UTC", start="2000-01-01T00:00:00", end=now
    )
    values = [row["Wh_sum"] for row in rows if "Wh_sum" in row]
    assert found["component_id"] == METER
    assert found["total"] == pytest.approx(sum(values))
    assert [year["Wh_sum"] for year in found["years"]] == pytest.approx(values)
    assert len(values) > 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "exactly one"),
        ({"component_id": METER, "tz": "Mars"}, "tz: 'Mars'"),
        ({"component_id": METER, "field": "Wx_sum"}, "fields='Wx_sum'"),
        ({"component_id": METER, "start": "2000"}, "start: '2000'"),
    ],
)
def test_a_lifetime_that_can_not_be_added_up_fails_at_once(run, given, words):
    with pytest.raises(AirflowFailException, match=words):
        run(energy(**given))


def test_rows_go_to_a_path_as_json_lines(run, tmp_path):
    written = run(data(site_id=SITE, path=f"file://{tmp_path}/rows.jsonl", max_xcom_bytes=1))
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert len(lines) == written["lines"]
    assert {"id", "ts"} <= json.loads(lines[0]).keys()
