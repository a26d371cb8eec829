"""Parsers under hypothesis: whatever comes in, only typed errors come out, and what is accepted keeps the promises.

Answers are the references' own examples, changed in structure, or made up. FUZZ_EXAMPLES says how many each test takes
(`make test-untrusted`
takes many).
"""

from __future__ import annotations

import copy
import gzip
import json
import math
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locus_stem.api import LocusCredentials, LocusEndpoints, StemEndpoints
from locus_stem.api.answer import Answer, Reader, trusted
from locus_stem.api.auth import TokenAuth
from locus_stem.api.bounds import MAX_DEPTH, MAX_NAMES, depth_and_names, weight
from locus_stem.api.errors import ApiError, MalformedAnswerError, RetriableError
from locus_stem.api.shown import shown
from locus_stem.api.stem import Paging
from locus_stem.api.wire import RawAnswer
from locus_stem.operators.retries import asked_wait
from locus_stem.pipelines.bulk_extract import BulkMonths
from locus_stem.pipelines.component_data import available_fields
from locus_stem.pipelines.extract import Measurements
from locus_stem.pipelines.rows import UnfitAnswerError
from locus_stem.pipelines.stem_extract import Streams
from locus_stem.planning.fields import AvailableField, FieldGroup, field_groups
from locus_stem.planning.request import DataRequest
from locus_stem.planning.slices import Slice
from locus_stem.planning.stem import StreamParams, plan_streams
from locus_stem.planning.timestamps import parse_instant
from locus_stem.planning.zones import site_zone
from locus_stem.tables.alerts import FARTHEST_AHEAD, read_states
from locus_stem.tables.objects import _aggregations, _last_of_each, object_row
from locus_stem.tables.schemas import SPECS
from locus_stem.tables.values import LONGEST_TEXT, table_of
from locus_stem.waits.data import DataWait, StreamWait
from locus_stem.waits.wait import Found

if TYPE_CHECKING:
    from locus_stem.api.endpoint import Call

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "80"))
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES < 1000,
    suppress_health_check=list(HealthCheck),
)

NOW = datetime(2025, 10, 27, 18, 20, tzinfo=UTC)
START, END = datetime(2025, 10, 20, tzinfo=UTC), datetime(2025, 10, 21, tzinfo=UTC)
READER = Reader(lambda text: text.replace("s3cret", "***"))

numbers = st.one_of(
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.sampled_from([-0.0, 1e308, float("inf"), 10**400, 2**63, -1, 0]),
)
odd_texts = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(categories=["Cs", "Cc"]), max_size=5),
    st.sampled_from(
        ["", " ", "\x00", "\ud800", "1_0", "١٢", "nan", "1e400", "s3cret", "a,b", "x" * 5000, "\x1b[2J\nERROR",
         "0000-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "10000-01-01", "0001-01-01T00:00:00+23:59", "2025-10-20",
         "9999-12-31T23:59:59-23:59", "2025-10-20T00:00:00+99:99", "2025-10-20T12:00:00Z", "2099-01-01T00:00:00Z",
         "1969-12-31T23:00:00Z", "2025-10-20T00:00:00." + "0" * 5000, "20251020T120000", "2025-W43-1"]
    ),
)  # fmt: skip
scalars = st.one_of(st.none(), st.booleans(), numbers, odd_texts)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(odd_texts, inner, max_size=4),
    max_leaves=12,
)


def _contract(name, endpoint):
    calls = json.loads((Path(__file__).parents[2] / "contract" / name).read_text())["calls"]
    found = [call["response"] for call in calls if call["endpoint"] == endpoint and "response" in call]
    assert found, endpoint
    return found[0]


def _places(value, path=()):
    yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from _places(child, (*path, key))


@st.composite
def mutated(draw, honest):
    """Change a valid value in up to four places: other values, keys gone, keys more, elements twice."""
    value = copy.deepcopy(honest)
    for _ in range(draw(st.integers(0, 4))):
        path = draw(st.sampled_from(list(_places(value))))
        if not path:
            value = draw(values) if draw(st.integers(0, 9)) == 0 else value
            continue
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        match draw(st.sampled_from(["other", "gone", "more", "twice"])):
            case "gone":
                del parent[path[-1]]
            case "more" if isinstance(parent, dict):
                parent[draw(odd_texts)] = draw(values)
            case "twice" if isinstance(parent, list):
                parent.append(copy.deepcopy(parent[path[-1]]))
            case _:
                parent[path[-1]] = draw(values)
    return value


def _written(value):
    return json.dumps(value).encode()


def raw(body, status=200, **headers):
    return RawAnswer(status, {name.replace("_", "-"): text for name, text in headers.items()}, body, NOW, 0.0)


SITE_DATA = LocusEndpoints.get_site_data.request(
    site_id=7,
    fields=["W_avg", "Wh_sum"],
    start="2025-10-20T00:00:00",
    end="2025-10-20T23:59:59",
    tz="UTC",
    gran="hourly",
)
STREAMS = StemEndpoints.get_site_streams.request(
    site_id="s", start="2025-10-20T00:00:00Z", end="2025-10-21T00:00:00Z", stream_type=["MONITOR"]
)
DATA_ROWS = [
    {"id": 7, "ts": f"2025-10-20T{hour:02}:00:00Z", "W_avg": 1.5, "Wh_sum": 3} for hour in (0, 1, 2, 23)
]
STREAM_ROWS = [
    {
        "stream_type": "MONITOR",
        "streams": [
            {
                "start_datetime": "2025-10-20T00:00:01Z",
                "end_datetime": "2025-10-20T00:15:00Z",
                "kw_total_avg": 1.25,
            },
            {
                "start_datetime": "2025-10-20T00:15:01Z",
                "end_datetime": "2025-10-20T00:30:00Z",
                "kw_total_avg": None,
            },
        ],
    }
]
HONEST = [
    ("get_site_alerts", LocusEndpoints.get_site_alerts.request(site_id=1, tz="UTC")),
    ("get_partner_components", LocusEndpoints.get_partner_components.request(partner_id=1)),
    ("get_site_data", SITE_DATA),
]


def request(**changes):
    known = {
        "entity_type": "site", "entity_id": 7, "site_id": 7, "zone": "UTC", "granularity": "hourly",
        "slice": Slice(START, END, "2025-10-20T00:00:00", "2025-10-20T23:59:59", "UTC"),
        "group": FieldGroup(("W_avg", "Wh_sum")),
    }  # fmt: skip
    return DataRequest(**{**known, **changes})


def check_rows(table, first, last):
    """Rows within what was asked, each once, numbers finite or null."""
    stamps = table.column("ts").to_pylist()
    assert all(first <= ts < last for ts in stamps)
    keys = list(zip(table.column("entity_id").to_pylist(), stamps, strict=True))
    assert len(keys) == len(set(keys))
    for name in set(table.column_names) - {"entity_id", "ts", "local_date"}:
        assert all(value is None or math.isfinite(value) for value in table.column(name).to_pylist())


@pytest.mark.parametrize(("name", "call"), HONEST, ids=[name for name, _ in HONEST])
@fuzzed
@given(data=st.data())
def test_an_answer_is_read_or_a_typed_error(name, call: Call, data):
    body = _written(data.draw(mutated(_contract("locus_examples.json", name))))
    cut = data.draw(st.integers(0, len(body)))
    match data.draw(st.integers(0, 5)):
        case 0:
            body = body[:cut]
        case 1:
            body = body[:cut] + data.draw(st.binary(max_size=8)) + body[cut:]
    headers = {"date": data.draw(odd_texts)}
    if data.draw(st.booleans()):
        body, headers["content_encoding"] = gzip.compress(body, 1), "gzip"
    try:
        answer = READER.answer(raw(body, **headers), call)
    except ApiError as error:
        check_message(error)
        return
    assert isinstance(answer.payload, list)
    assert all(isinstance(item, dict) for item in answer.payload)
    depth, names = depth_and_names(answer.payload)
    assert depth <= MAX_DEPTH
    assert names <= MAX_NAMES
    assert answer.trusted_date is None or abs(answer.trusted_date - NOW) <= timedelta(days=1)


def check_message(error):
    text = str(error)
    assert text.isprintable()
    assert len(text) < 1000
    while error is not None:  # a traceback shows its causes, too
        assert "s3cret" not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@fuzzed
@given(
    status=st.integers(0, 999),
    body=st.one_of(st.binary(max_size=200), mutated({"statusCode": 400, "message": "s3cret"}).map(_written)),
    headers=st.fixed_dictionaries(
        {},
        optional={
            "date": odd_texts | st.just("Mon, 01 Jan 0001 00:00:00 +2359"),
            "retry-after": odd_texts | numbers.map(str) | st.just("Fri, 31 Dec 9999 23:59:59 -2359"),
            "location": odd_texts | st.sampled_from(["http://[", "//a:b@c/", "https://x:99999999/"]),
            "content-encoding": odd_texts,
            "content-type": st.just("text/plain"),
        },
    ),
)
def test_an_error_is_typed_and_its_message_is_one_short_printable_line(status, body, headers):
    error = READER.error(RawAnswer(status, headers, body, NOW, 0.0), "/path", STREAMS.endpoint.read_refusal)
    assert (error is None) == (200 <= status < 300)
    if error is not None:
        check_message(error)
    if isinstance(error, RetriableError) and error.retry_after is not None:
        assert 0 <= error.retry_after < 10**6
        assert asked_wait(error) is None or asked_wait(error) >= timedelta()


@fuzzed
@given(text=st.text(max_size=60) | odd_texts)
def test_a_date_is_believed_only_within_a_day(text):
    answer = READER.answer(raw(b"{}", date=text), LocusEndpoints.get_site.request(site_id=1))
    assert trusted(answer.server_date, NOW) is None or abs(answer.server_date - NOW) <= timedelta(days=1)


@fuzzed
@given(
    answered=mutated(
        {"access_token": "abc", "refresh_token": "def", "expires_in": 3600, "token_type": "bearer"}
    )
)
def test_a_token_answer_gives_a_header_or_a_typed_error(answered):
    credentials = LocusCredentials(client_id="c", client_secret="s3cret")
    auth = TokenAuth(credentials, clock=lambda: 0.0, on_retry=lambda: None, hidden=("s3cret",))
    retries = SimpleNamespace(wait_after=_raised)
    flow = auth.authorization(retries)
    action = flow.send(None)
    inner = action.flow
    inner.send(None)
    try:
        told = inner.send(raw(_written(answered)))
        while True:
            assert told.token.isprintable()
            told = inner.send(None)
    except StopIteration as stop:
        header = stop.value.header
        assert header.startswith("Bearer ")
        assert header.isascii()
        assert header.isprintable()
        assert len(header) < 20_000
    except ApiError as error:
        check_message(error)


def _raised(error, *, given_up=False):
    raise error


@fuzzed
@given(rows=mutated(DATA_ROWS), granularity=st.sampled_from(["hourly", "daily", "monthly"]))
def test_data_rows_are_within_what_was_asked_or_unfit(rows, granularity):
    asked = request(granularity=granularity)
    try:
        table, _ = Measurements().rows(rows if isinstance(rows, list) else [rows], asked, END)
    except UnfitAnswerError as error:
        check_message(error)
        return
    check_rows(table, START, END)
    assert set(table.column("entity_id").to_pylist()) <= {7}


@fuzzed
@given(
    rows=mutated([{"id": site, "ts": "2025-03-01T00:00:00Z", "W_avg": 1.5, "Wh_sum": 3} for site in (7, 8)])
)
def test_bulk_rows_are_of_the_sites_that_were_asked(rows):
    first, last = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 10, 1, tzinfo=UTC)
    asked = request(entity_type="zone", granularity="monthly", slice=Slice(first, last, "", "", "UTC"))
    source = BulkMonths(1, {"UTC": (7,), "Europe/Berlin": (8,)})
    try:
        table, remarks = source.rows(rows if isinstance(rows, list) else [rows], asked, last)
    except UnfitAnswerError:
        return
    check_rows(table, first, last)
    assert set(table.column("entity_id").to_pylist()) <= {7}
    assert all(len(one) <= 41 and one.isprintable() for one in remarks.get("strangers", ()))
    json.dumps(remarks)


@fuzzed
@given(payload=mutated(STREAM_ROWS))
def test_stream_rows_are_intervals_of_what_was_asked_or_unfit(payload):
    kept = Slice(START, END, "2025-10-20T00:00:00Z", "2025-10-21T00:30:00Z", "UTC")
    asked = request(
        entity_type="stem_site", granularity="900", slice=kept, group=FieldGroup(("MONITOR",)), name="s"
    )
    payload = [one for one in payload if isinstance(one, dict)] if isinstance(payload, list) else []
    try:
        table, remarks = Streams().rows(payload, asked, END)
    except UnfitAnswerError as error:
        check_message(error)
        return
    check_rows(table, START, END)
    assert datetime.fromisoformat(remarks["end"]) <= END


@fuzzed
@given(objects=mutated(_contract("locus_examples.json", "get_site_alerts")["alerts"]))
def test_alerts_are_states_with_an_id_and_a_time_that_has_come(objects):
    objects = [one for one in objects if isinstance(one, dict)] if isinstance(objects, list) else []
    states, unreadable = read_states(objects, NOW)
    assert len(states) + len(unreadable) == len(objects)
    for state in states:
        assert 0 < state.alert_id < 10**18
        assert state.updated <= NOW + FARTHEST_AHEAD
    check_table(SPECS["locus_alert_history"], [state.row for state in states])


@pytest.mark.parametrize("table", ["locus_components", "locus_sites", "stem_sites", "stem_clients"])
@fuzzed
@given(data=st.data())
def test_listed_objects_have_usable_keys_and_harmless_texts(table, data):
    honest = {
        "locus_components": _contract("locus_examples.json", "get_partner_components")["components"],
        "locus_sites": [
            {"id": 5, "clientId": 6, "name": "Müller", "latitude": 1.5, "locationTimezone": "UTC"}
        ],
        "stem_sites": [
            {"id": "s 1", "name": "n", "client_id": "c", "stream_start_times": {"MONITOR": "2020-01-01"}}
        ],
        "stem_clients": [{"id": "c", "name": "n"}],
    }[table]
    objects = data.draw(mutated(honest))
    spec = SPECS[table]
    rows = (
        [object_row(spec, one) for one in objects if isinstance(one, dict)]
        if isinstance(objects, list)
        else []
    )
    kept = _last_of_each(spec, rows).rows
    found = check_table(spec, kept)
    keys = found.column(spec.key[0]).to_pylist()
    assert len(keys) == len(set(keys))
    assert None not in keys
    endpoint, name = {
        "locus_components": (LocusEndpoints.get_component, "component_id"),
        "locus_sites": (LocusEndpoints.get_site, "site_id"),
        "stem_sites": (StemEndpoints.get_site, "site_id"),
        "stem_clients": (StemEndpoints.get_client, "client_id"),
    }[table]
    for key in keys:
        assert endpoint.request(**{name: key}).target.isascii()
    if table == "stem_sites":
        params = StreamParams.from_raw(
            {"start": "2025-10-20", "end": "2025-10-21"}, day=START.date(), last_covered=None, scheduled=False
        )
        plan_streams(params, sites=found.to_pylist(), unlisted={}, refused={}, now=NOW)
    if table == "locus_sites":
        for row in found.to_pylist():
            zone, warning = site_zone(row, row.get("name"))
            assert zone
            assert warning is None or warning.isprintable()


def check_table(spec, rows):
    """Rows become a table whose columns have names, and whose texts move no terminal's cursor and fill no disk."""
    table = table_of(spec, rows, spec.schema())
    for name in table.column_names:
        assert name.isascii()
        assert name.isidentifier()
        for value in table.column(name).to_pylist():
            if isinstance(value, str):
                assert len(value) <= LONGEST_TEXT
                assert not {"\x00", "\x1b", "\x7f"} & set(value)
            if isinstance(value, float):
                assert math.isfinite(value)
    return table


BASE_FIELDS = [
    {
        "baseField": "W", "longName": "Power", "source": "Measured", "unit": "W", "granularities": ["hourly", "daily"],
        "aggregations": [{"shortName": "W_avg", "aggregation": "avg"}, {"shortName": "W_max", "aggregation": "max"}],
        "fieldParameters": [{"param": "model", "values": ["a", "b"]}],
    }
]  # fmt: skip


@fuzzed
@given(base_fields=mutated(BASE_FIELDS))
def test_available_fields_can_be_asked_for(base_fields):
    listed = [one for one in base_fields if isinstance(one, dict)] if isinstance(base_fields, list) else []
    spec = SPECS["locus_data_available"]
    aggregations = [row for one in listed for row in _aggregations("site", 7, one) if row is not None]
    rows = check_table(spec, _last_of_each(spec, aggregations).rows)
    fields = [AvailableField.from_row(row) for row in rows.to_pylist()]
    for known in (fields, available_fields(listed)):
        for group in field_groups(known, "hourly", None):
            call = LocusEndpoints.get_site_data.request(
                site_id=7, fields=group.fields, start="2025-10-20T00:00:00", end="2025-10-20T23:59:59", tz="UTC",
                gran="hourly", field_parameters=_sendable(group),
            )  # fmt: skip
            assert call.target.isascii()


def _sendable(group):
    # a parameter by the name of an argument is refused by the request itself, as one of a user's is
    return {
        name: value
        for name, value in group.parameters
        if name not in {"fields", "start", "end", "tz", "gran"}
    }


@fuzzed
@given(pages=st.lists(mutated([{"id": "a"}, {"id": "b"}, {"id": 3}]), max_size=5))
def test_pages_give_each_object_once_and_each_id_again_only_where_it_differs(pages):
    paging = Paging(StemEndpoints.get_clients.request(per_page=1))
    answered, given_out = {}, {}
    for page in pages:
        objects = [one for one in page if isinstance(one, dict)] if isinstance(page, list) else []
        if paging.call is None:
            break
        answered |= {str(one.get("id")): one for one in objects}
        for one in paging.take(Answer(objects, NOW, None, paging.call)):
            assert _written(given_out.get(str(one.get("id")))) != _written(one)
            given_out[str(one.get("id"))] = one
    assert {name: _written(one) for name, one in given_out.items()} == {
        name: _written(one) for name, one in answered.items()
    }  # written, NaN is itself


@fuzzed
@given(rows=mutated(DATA_ROWS), streams=mutated(STREAM_ROWS))
def test_a_look_finds_measured_values_or_a_typed_error(rows, streams):
    waits = (
        (DataWait.read(site_id=7, fields="W_avg", until="2025-10-20T02:00:00Z", granularity="hourly"), rows),
        (StreamWait.read(site_id="s", until="2025-10-20T00:15:00Z"), streams),
    )
    for wait, payload in waits:
        looking = wait.look(NOW)
        call = next(looking)
        body = _written({call.endpoint.answer_key: payload})
        try:
            looking.send(READER.answer(raw(body), call))
        except MalformedAnswerError as error:
            check_message(error)
        except StopIteration as stop:
            if isinstance(stop.value, Found):
                json.dumps(stop.value.value, allow_nan=False)


@fuzzed
@given(text=st.text(max_size=40) | odd_texts | scalars)
def test_an_instant_is_within_the_years_or_refused(text):
    try:
        assert 1969 <= parse_instant(text).year <= 2101
    except (TypeError, ValueError):
        return


@fuzzed
@given(value=values, length=st.integers(1, 200))
def test_what_is_shown_is_short_and_printable(value, length):
    text = shown(value, length)
    assert len(text) <= length + 1
    assert text.isprintable()


@fuzzed
@given(value=values)
def test_a_bodys_weight_is_no_less_than_its_length(value):
    body = _written(value)
    assert weight(body) >= 2 * len(body)
