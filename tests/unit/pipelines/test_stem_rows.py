from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.api.errors import BadRequestError, PermissionDeniedError, StemNoData, StemStreamUnavailable
from locus_stem.api.stem import StemEndpoints
from locus_stem.pipelines.rows import UnfitAnswerError
from locus_stem.pipelines.stem_extract import Streams, series_number
from locus_stem.planning.fields import FieldGroup
from locus_stem.planning.request import DataRequest
from locus_stem.planning.slices import Slice

START = datetime(2025, 1, 31, 23, tzinfo=UTC)
END = START + timedelta(hours=3)


def request(*types, query_end="2025-02-01T02:30:00Z"):
    kept = Slice(START, END, "2025-01-31T22:30:00Z", query_end, "UTC")
    return DataRequest("site", 4, 4, "UTC", "900", kept, FieldGroup(types or ("MONITOR",)), name="a/b")


def row(minutes, value=1.5, **other):
    """A row that ends so many minutes after the slice's start."""
    end = START + timedelta(minutes=minutes)
    begin = end - timedelta(seconds=899)
    return {
        "start_datetime": begin.isoformat(),
        "end_datetime": end.isoformat(),
        "kw_total_avg": value,
    } | other


def stream(*rows, name="MONITOR"):
    return {"stream_type": name, "streams": list(rows)}


def read(*streams, asked=None, end=END):
    table, remarks = Streams().rows(list(streams), asked or request(), end)
    return table.to_pylist(), remarks


def test_rows_that_end_after_the_start_and_up_to_the_end_are_kept_with_the_date_of_their_begin():
    rows, remarks = read(stream(row(-15), row(0), row(15), row(60, None), row(75), row(180), row(195)))
    assert [(item["ts"] - START).seconds // 60 for item in rows] == [0, 45, 60, 165]
    assert [item["local_date"].day for item in rows] == [31, 31, 1, 1]
    assert [item["kw_total_avg"] for item in rows] == [1.5, None, 1.5, 1.5]
    assert {item["lead"] for item in rows} == {899e6}
    assert {item["entity_id"] for item in rows} == {series_number(4, "MONITOR")}
    assert remarks == {"end": END.isoformat()}


def test_each_stream_is_a_series_of_its_own_and_one_that_is_lacking_has_no_rows(caplog):
    both = stream(row(15)), stream(row(15, -2), name="CONVERTER")
    rows, _ = read(*both, asked=request("MONITOR", "CONVERTER", "INTERVAL_REVENUE"))
    others = stream(row(15), name="SOLAR"), stream(row(15), name="INTERVAL_REVENUE")
    assert read(*both, *others, asked=request("MONITOR", "CONVERTER"))[0] == rows
    assert [(item["entity_id"], item["kw_total_avg"]) for item in rows] == [
        (series_number(4, "MONITOR"), 1.5), (series_number(4, "CONVERTER"), -2.0),
    ]  # fmt: skip
    assert "SOLAR" in caplog.text


def test_a_row_that_comes_twice_counts_once_the_last_wins(caplog):
    rows, _ = read(stream(row(15, 1), row(15, 2)))
    assert [item["kw_total_avg"] for item in rows] == [2.0]
    assert "came twice" in caplog.text


def test_rows_that_end_off_the_grid_are_left_out_and_counted():
    rows, remarks = read(stream(row(15), row(20), row(30), row(31), row(45), row(181)))
    assert [item["ts"] for item in rows] == [START + timedelta(minutes=minutes) for minutes in (0, 15, 30)]
    assert remarks["off_grid"] == 3


def test_times_without_a_zone_are_utc_and_others_are_converted():
    local = {"start_datetime": "2025-01-31T16:00:01-07:00", "end_datetime": "2025-01-31T16:15:00-07:00"}
    naive = {"start_datetime": "2025-01-31T23:15:01", "end_datetime": "2025-01-31T23:30:00"}
    rows, _ = read(stream({**local, "kw_total_avg": 1}, {**naive, "kw_total_avg": 2}))
    assert [item["ts"] for item in rows] == [START, START + timedelta(minutes=15)]


@given(st.integers(0, 150), st.integers(0, 14))
def test_the_answer_is_whole_up_to_what_the_margin_gives_or_its_last_row_shows(cut, last):
    query_end = START + timedelta(minutes=30 + cut)
    asked = request(query_end=f"{query_end:%Y-%m-%dT%H:%M:%SZ}")
    rows, remarks = read(stream(*(row(15 * number) for number in range(1, last + 1))), asked=asked)
    sure = START + timedelta(minutes=cut // 15 * 15)
    seen = START + timedelta(minutes=15 * last)
    assert datetime.fromisoformat(remarks["end"]) == min(END, max(sure, seen))
    assert len(rows) == min(last, 12)


def test_no_interval_is_whole_that_was_open_when_it_was_asked_for():
    rows, remarks = read(stream(row(15), row(30), row(45)), end=START + timedelta(minutes=30))
    assert len(rows) == 2
    assert remarks["end"] == (START + timedelta(minutes=30)).isoformat()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"stream_type": "MONITOR"}, "no list of rows"),
        (stream(row(15), name=None), "MONITOR is lacking"),
        (stream(row(15), name="MONITORS"), "MONITOR is lacking"),
        (stream(row(15), name=["MONITOR"]), "MONITOR is lacking"),
        (stream(row(15), row(31)), "off the grid"),
        (stream("x"), "not an object"),
        (stream(row(15, end_datetime="soon")), "end_datetime is not readable"),
        (stream(row(15, start_datetime=None)), "start_datetime is not readable"),
        (stream(row(15, "1.5")), "holds str"),
        (stream(row(15, True)), "holds bool"),
    ],
)
def test_what_is_no_row_is_an_unfit_answer(answer, words):
    with pytest.raises(UnfitAnswerError, match=words):
        read(answer)


@pytest.mark.parametrize(
    ("error", "about"),
    [
        (StemNoData("No data found"), ()),
        (StemStreamUnavailable("The requested stream type - CONVERTER is unavailable for"), ("CONVERTER",)),
        (
            StemStreamUnavailable("The requested stream type - SOLAR is unavailable for"),
            ("MONITOR", "CONVERTER"),
        ),
        (StemStreamUnavailable("a stream type is unavailable"), ("MONITOR", "CONVERTER")),
        (BadRequestError("HTTP 400"), None),
        (PermissionDeniedError("HTTP 403"), None),
    ],
)
def test_a_refusal_is_about_no_stream_some_streams_or_the_site(error, about):
    assert Streams().refused(request("MONITOR", "CONVERTER"), error) == about


def test_the_guides_own_refusal_names_the_stream():
    said = "The requested stream type - INTERVAL_REVENUE is unavailable for the requested site."
    error = StemEndpoints.get_site_streams.read_refusal(400, said, "/path")
    assert Streams().refused(request("MONITOR", "INTERVAL_REVENUE"), error) == ("INTERVAL_REVENUE",)


def test_the_call_asks_for_all_streams_of_the_site_at_once():
    call = Streams().call(request("MONITOR", "CONVERTER"))
    assert call.path == "/api/v1/sites/a%2Fb/streams"
    assert call.params == [
        ("start_datetime", "2025-01-31T22:30:00Z"), ("end_datetime", "2025-02-01T02:30:00Z"),
        ("resolution", "900"), ("stream_type", "MONITOR,CONVERTER"),
    ]  # fmt: skip
