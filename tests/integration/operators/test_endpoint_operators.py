"""Every endpoint through its operator, over real sockets."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from locus_stem.api import LOCUS_ENDPOINTS, STEM_ENDPOINTS
from locus_stem.api.client import LocusClient, StemClient
from locus_stem.hooks.locus import LocusHook
from locus_stem.hooks.stem import StemHook
from locus_stem.operators.endpoint import LocusEndpointOperator, StemEndpointOperator
from locus_stem.operators.result import StoredFile
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Fault, Options
from locus_stem.sandbox.server import Server

SITE, COMPONENT, CLIENT = 3_000_001, 6_000_001, 400_001
DAY = (datetime.now(UTC) - timedelta(days=3)).date()
PERIOD = {"start": f"{DAY}T00:00:00", "end": f"{DAY}T23:59:59", "tz": "UTC"}
SINCE = {"updated_since": f"{DAY}T00:00:00", "tz": "UTC"}
MONTHS = {"start": "2025-01-01T00:00:00", "end": "2025-06-30T23:59:59", "tz": "UTC"}
LOCUS_ARGUMENTS = {
    "get_component": {"component_id": COMPONENT},
    "get_site_components": {"site_id": SITE},
    "get_client_components": {"client_id": CLIENT},
    "get_partner_components": {"node_id": "SB.00000000.%"},
    "get_site": {"site_id": SITE},
    "get_client_sites": {"client_id": CLIENT},
    "get_partner_sites": {},
    "get_installinfo": {"site_id": SITE},
    "get_modelsettings": {"site_id": SITE},
    "get_client": {"client_id": CLIENT},
    "get_partner_clients": {},
    "get_component_dataavailable": {"component_id": COMPONENT},
    "get_site_dataavailable": {"site_id": SITE},
    "get_site_bulk_dataavailable": {},
    "get_component_data": {"component_id": COMPONENT, "fields": ["Wh_sum"], "gran": "hourly", **PERIOD},
    "get_site_data": {"site_id": SITE, "fields": "Wh_sum,W_avg", "gran": "hourly", **PERIOD},
    "get_site_bulk_data": {"fields": ["Wh_sum"], "gran": "monthly", **MONTHS},
    "get_partner_alerts": SINCE,
    "get_site_alerts": {"site_id": SITE, **SINCE},
    "get_component_alerts": {"component_id": COMPONENT, **SINCE},
}
WITHOUT_PARTNER = {name for name in LOCUS_ARGUMENTS if "partner" in name or "bulk" in name}
STEM_PERIOD = {"start": f"{DAY}T00:00:00Z", "end": f"{DAY + timedelta(days=1)}T00:00:00Z"}


def locus(endpoint, arguments=None, **given):
    return LocusEndpointOperator(
        task_id="ask", endpoint=endpoint, arguments=arguments, **{"max_xcom_bytes": 2**20, **given}
    )


def stem(endpoint, arguments=None, **given):
    return StemEndpointOperator(
        task_id="ask", endpoint=endpoint, arguments=arguments, **{"max_xcom_bytes": 2**20, **given}
    )


@pytest.mark.parametrize("endpoint", [endpoint.name for endpoint in LOCUS_ENDPOINTS])
def test_each_locus_endpoint_gives_what_the_hooks_method_gives(run, endpoint):
    arguments = LOCUS_ARGUMENTS[endpoint]
    partner = {"partner_id": 1} if endpoint in WITHOUT_PARTNER else {}
    expected = getattr(LocusHook(), endpoint)(**partner, **arguments)
    assert expected or "alerts" in endpoint
    assert run(locus(endpoint, arguments)) == expected


@pytest.mark.parametrize("endpoint", [endpoint.name for endpoint in STEM_ENDPOINTS])
def test_each_stem_endpoint_gives_what_the_hooks_method_gives(run, server, endpoint):
    client_id, site_id = server.fleet.stem.client_ids[0], server.fleet.stem.site_ids[0]
    arguments = {
        "get_clients": {},
        "get_client": {"client_id": client_id},
        "get_client_sites": {"client_id": client_id},
        "get_site": {"site_id": site_id},
        "get_site_streams": {"site_id": site_id, **STEM_PERIOD},
    }[endpoint]
    expected = getattr(StemHook(), endpoint)(**arguments)
    assert expected
    assert run(stem(endpoint, arguments)) == expected


def test_stem_lists_are_followed_to_their_last_page(run, server):
    found = run(stem("get_client_sites", {"client_id": server.fleet.stem.client_ids[0], "per_page": 2}))
    assert [site["id"] for site in found] == server.fleet.stem.client_site_ids(
        server.fleet.stem.client_ids[0]
    )
    assert len(server.log) == 2


def test_a_stream_that_a_site_lacks_is_left_out_and_the_others_come(run, server):
    lacking = next(
        site for site in server.fleet.stem.site_ids if "CONVERTER" not in server.fleet.stem.site(site).starts
    )
    arguments = {"site_id": lacking, **STEM_PERIOD, "stream_type": ["MONITOR", "CONVERTER"]}
    assert [found["stream_type"] for found in run(stem("get_site_streams", arguments))] == ["MONITOR"]
    assert run(stem("get_site_streams", {**arguments, "stream_type": "CONVERTER"})) == []


def test_a_period_without_stem_data_is_an_empty_answer(run, server):
    period = {"start": "2015-01-01T00:00:00Z", "end": "2015-01-02T00:00:00Z"}
    assert run(stem("get_site_streams", {"site_id": server.fleet.stem.site_ids[0], **period})) == []


# -- arguments


def test_ids_times_and_fields_are_templates(run):
    arguments = {
        "site_id": "{{ params.site }}",
        "fields": "{{ params.fields | join(',') }}",
        "gran": "{{ params.gran }}",
        "start": "{{ day | ds }}T00:00:00",
        "end": "{{ day | ds }}T23:59:59",
        "tz": "UTC",
        "field_parameters": None,
    }
    params = {"site": SITE, "fields": ["Wh_sum"], "gran": "hourly"}
    day = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    operator = locus("get_site_data", arguments)
    jinja = operator.get_template_env()
    jinja.filters["ds"] = lambda value: f"{value:%Y-%m-%d}"
    assert run(operator, params=params, day=day) == run(
        locus("get_site_data", {**LOCUS_ARGUMENTS["get_site_data"], "fields": "Wh_sum"})
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"site_id": "abc"}, ("site_id", "'abc'", "a whole number above 0")),
        ({"gran": "weekly"}, ("gran", "'weekly'", "hourly")),
        ({"start": "yesterday"}, ("start", "'yesterday'", "YYYY-MM-DDThh:mm:ss")),
        ({"fields": None}, ("fields", "requires")),
        ({"colour": "red"}, ("colour", "'red'", "site_id")),
        ({"start": "2020-01-01T00:00:00"}, ("end", "less than 31 days")),
    ],
)
def test_a_wrong_argument_fails_at_once_and_is_named_before_anything_is_sent(run, server, arguments, words):
    with pytest.raises(AirflowFailException) as failed:
        run(locus("get_site_data", {**LOCUS_ARGUMENTS["get_site_data"], **arguments}))
    assert all(word in str(failed.value) for word in words), failed.value
    assert len(server.log) == 0


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"arguments": "{{ params }}"}, "arguments"),
        ({"path": "answer.jsonl"}, "relative"),
        ({"path": "file:///tmp/"}, "folder"),
        ({"path": "nowhere://bucket/answer.jsonl"}, "path: .*nowhere"),
        ({"keys": [1]}, "keys"),
    ],
)
def test_what_no_task_can_use_fails_at_once(run, server, given, word):
    with pytest.raises(AirflowFailException, match=word):
        run(locus("get_partner_sites", **given))
    assert len(server.log) == 0


def test_a_named_partner_goes_before_the_connections(run, connections, server):
    connections(
        "locus_default",
        "locus_default",
        extra={"client_id": "sandbox-client", "client_secret": "sandbox-secret"},
    )
    assert len(run(locus("get_partner_sites", {"partner_id": 1}))) == 6
    with pytest.raises(AirflowFailException, match="partner_id"):
        run(locus("get_partner_sites"))


def test_an_unknown_endpoint_is_refused_when_the_dag_is_read():
    with pytest.raises(ValueError, match="did you mean get_site_data"):
        locus("get_sitedata")
    with pytest.raises(ValueError, match="get_site_streams"):
        stem("get_partner_sites")


# -- refusals and failures


def test_a_refusal_fails_without_retries(run):
    with pytest.raises(AirflowFailException, match=r"/v3/sites/99: .*404"):
        run(locus("get_site", {"site_id": 99}))


def test_an_api_that_asks_for_a_wait_gets_it_outside_the_slot(run, connections, monkeypatch):
    from airflow.exceptions import AirflowRescheduleException

    faults = Options(faults=(Fault("429-retry-after", 1.0),), fault_streak=100, retry_after=900)
    with Server(Fleet(sites=2), faults) as busy:
        connections("locus_default", "locus_default", host=busy.url)
        began = datetime.now(UTC)
        with pytest.raises(AirflowRescheduleException) as put_off:
            run(locus("get_site", {"site_id": SITE}))
    assert timedelta(seconds=899) < put_off.value.reschedule_date - began < timedelta(seconds=930)


def test_the_connection_is_closed_after_the_answer(run, mocker):
    closed = [mocker.spy(LocusClient, "close"), mocker.spy(StemClient, "close")]
    run(locus("get_site", {"site_id": SITE}))
    run(stem("get_clients"))
    assert [spy.call_count for spy in closed] == [1, 1]


# -- how the answer leaves


def test_a_large_answer_without_a_path_is_refused_with_its_size_and_the_limit(run):
    with pytest.raises(
        AirflowFailException,
        match=r"get_partner_sites takes \d+ bytes of JSON, max_xcom_bytes is 100\b.*path",
    ):
        run(locus("get_partner_sites", max_xcom_bytes=100))


def test_an_answer_of_exactly_the_limit_is_returned(run):
    answer = run(locus("get_partner_sites"))
    size = len(json.dumps(answer, ensure_ascii=False).encode())
    assert run(locus("get_partner_sites", max_xcom_bytes=size)) == answer
    with pytest.raises(AirflowFailException):
        run(locus("get_partner_sites", max_xcom_bytes=size - 1))


def test_keys_make_an_answer_small(run):
    assert run(locus("get_partner_sites", keys=["id"], max_xcom_bytes=200)) == [
        {"id": SITE + number} for number in range(6)
    ]
    assert set(run(locus("get_site", {"site_id": SITE}, keys="id, name"))) == {"id", "name"}


@pytest.mark.parametrize("scheme", ["file://", ""])
def test_a_path_gets_the_answer_as_json_lines(run, tmp_path, scheme):
    path = f"{scheme}{tmp_path}/{{{{ params.folder }}}}/sites.jsonl"
    written = run(locus("get_partner_sites", path=path, max_xcom_bytes=1), params={"folder": "a b"})
    assert written == {"path": f"{scheme}{tmp_path}/a b/sites.jsonl", "lines": 6}
    lines = ObjectStoragePath(written["path"]).read_text().splitlines()
    assert [json.loads(line) for line in lines] == LocusHook().get_partner_sites(1)
    assert [found.name for found in (tmp_path / "a b").iterdir()] == ["sites.jsonl"]


def test_one_object_is_one_line_and_an_empty_answer_an_empty_file(run, tmp_path, server):
    path = tmp_path / "answer.jsonl"
    assert run(locus("get_site", {"site_id": SITE}, path=f"file://{path}"))["lines"] == 1
    assert json.loads(path.read_text())["id"] == SITE
    period = {"start": "2015-01-01T00:00:00Z", "end": "2015-01-02T00:00:00Z"}
    arguments = {"site_id": server.fleet.stem.site_ids[0], **period}
    assert run(stem("get_site_streams", arguments, path=f"file://{path}"))["lines"] == 0
    assert path.read_text() == ""


@pytest.mark.parametrize("put_is_atomic", [True, False])
def test_another_store_with_a_connection_gets_it_too(run, mocker, monkeypatch, put_is_atomic):
    monkeypatch.setenv("AIRFLOW_CONN_STORAGE", '{"conn_type": "generic"}')
    attach("memory", "storage", fs=MemoryFileSystem())
    if put_is_atomic:
        mocker.patch("locus_stem.operators.result._PUT_IS_ATOMIC", {"memory"})
    path = ObjectStoragePath("memory://storage@bucket/{{ params.name }}.jsonl")
    written = run(locus("get_partner_clients", path=path), params={"name": f"clients{put_is_atomic}"})
    assert written["path"].startswith("memory://storage@")
    assert len(ObjectStoragePath(written["path"]).read_text().splitlines()) == written["lines"] > 0


@pytest.mark.parametrize(
    ("answered", "raised", "words"),
    [
        (FileNotFoundError("no such bucket"), AirflowFailException, "no such bucket.*check its bucket"),
        (PermissionError("Forbidden"), AirflowFailException, "Forbidden.*check the connection's keys"),
        (RuntimeError("no endpoint"), OSError, "no endpoint.*can be reached"),
    ],
)
def test_what_a_store_answers_names_the_path_and_what_to_do(
    run, mocker, monkeypatch, answered, raised, words
):
    monkeypatch.setenv("AIRFLOW_CONN_STORAGE", '{"conn_type": "generic", "password": "s3cret"}')
    attach("memory", "storage", fs=MemoryFileSystem())
    mocker.patch.object(MemoryFileSystem, "pipe_file", side_effect=answered)
    mocker.patch.object(MemoryFileSystem, "open", side_effect=answered)
    path = "memory://storage@bucket/answer.jsonl"
    with pytest.raises(raised, match=f"path: {path} can't be written.*{words}") as found:
        run(locus("get_partner_clients", path=path))
    assert "s3cret" not in str(found.value)
    with pytest.raises(raised, match=f"path: {path} can't be read.*{words}"):
        StoredFile(path).open("rb")


@pytest.mark.parametrize("address", ["memory://nobody@bucket/a.jsonl", "memory://key:s3cret@bucket/a.jsonl"])
def test_an_address_with_an_unknown_connection_or_with_keys_is_refused_before_the_request(
    run, server, address
):
    attach("memory", "nobody", fs=MemoryFileSystem())
    server.reset()
    with pytest.raises(AirflowFailException, match=r"path: .*(isn't defined|a connection)") as found:
        run(locus("get_partner_clients", path=address))
    assert "s3cret" not in str(found.value)
    assert not server.log


def test_a_write_that_fails_leaves_the_older_file_and_nothing_else(run, tmp_path, mocker):
    path = tmp_path / "answer.jsonl"
    path.write_text("older\n")
    mocker.patch("fsspec.implementations.local.LocalFileSystem.mv", side_effect=OSError("disk"))
    with pytest.raises(OSError, match="disk"):
        run(locus("get_partner_sites", path=f"file://{path}"))
    assert path.read_text() == "older\n"
    assert [found.name for found in tmp_path.iterdir()] == ["answer.jsonl"]
