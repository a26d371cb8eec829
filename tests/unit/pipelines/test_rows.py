from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from locus_stem.pipelines.rows import UnfitAnswerError, measurement_rows
from locus_stem.planning.fields import FieldGroup
from locus_stem.planning.request import DataRequest
from locus_stem.planning.slices import slices

NOW = datetime(2025, 3, 1, tzinfo=UTC)


def request(granularity="hourly", zone="America/Los_Angeles", start=date(2014, 4, 1), end=date(2014, 4, 2)):
    (cut,) = slices(start, end, zone, granularity, NOW)
    return DataRequest("site", 123, 123, zone, granularity, cut, FieldGroup(("W_avg", "Wh_sum")))


def rows(answer, asked=None, end=None):
    asked = asked or request()
    return measurement_rows(answer, asked, end or asked.slice.end).to_pylist()


def test_the_references_example_keeps_what_starts_before_the_end():
    answer = [
        {"id": 123, "ts": "2014-04-01T12:00:00-07:00", "W_avg": 23.717, "Wh_sum": 5936},
        {"id": 123, "ts": "2014-04-01T13:00:00-07:00", "W_avg": 10.373, "Wh_sum": 2372},
    ]
    assert rows(answer, end=datetime(2014, 4, 1, 20, tzinfo=UTC)) == [
        {
            "entity_id": 123,
            "ts": datetime(2014, 4, 1, 19, tzinfo=UTC),
            "local_date": date(2014, 4, 1),
            "W_avg": 23.717,
            "Wh_sum": 5936.0,
        }
    ]


def test_a_field_left_out_or_null_is_null_and_its_row_stays():
    answer = [
        {"id": 123, "ts": "2014-04-01T12:00:00Z", "W_avg": 0},
        {"id": 123, "ts": "2014-04-01T13:00:00Z", "Wh_sum": None},
    ]
    assert [(row["W_avg"], row["Wh_sum"]) for row in rows(answer)] == [(0.0, None), (None, None)]


def test_from_daily_up_only_the_wall_date_counts():
    asked = request("daily", "America/Los_Angeles", date(2014, 1, 1), date(2014, 1, 3))
    answer = [{"id": 123, "ts": f"2014-01-0{day}T00:00:00-07:00", "W_avg": day} for day in (1, 2, 3)]
    assert [row["ts"] for row in rows(answer, asked)] == [
        datetime(2014, 1, 1, 8, tzinfo=UTC),
        datetime(2014, 1, 2, 8, tzinfo=UTC),
    ]


def test_the_last_of_rows_with_the_same_ts_wins_with_a_warning(caplog):
    answer = [{"id": 123, "ts": "2014-04-01T12:00:00Z", "W_avg": value} for value in (1, 2)]
    assert [row["W_avg"] for row in rows(answer)] == [2.0]
    assert "came twice" in caplog.text


def test_rows_of_another_id_are_left_out_with_a_warning(caplog):
    answer = [
        {"id": 9, "ts": "2014-04-01T12:00:00Z", "W_avg": 1},
        {"id": "123", "ts": "2014-04-01T13:00:00Z"},
    ]
    assert [row["entity_id"] for row in rows(answer)] == [123]
    assert "another id" in caplog.text


def test_an_empty_answer_has_every_column_and_no_row():
    table = measurement_rows([], request(), request().slice.end)
    assert table.num_rows == 0
    assert table.column_names == ["entity_id", "ts", "local_date", "W_avg", "Wh_sum"]


@pytest.mark.parametrize(
    "row",
    [
        {"id": 123, "ts": "2014-04-01T12:00:00Z", "W_avg": "5"},
        {"id": 123, "ts": "2014-04-01T12:00:00Z", "W_avg": True},
        {"id": 123, "ts": "2014-04-01T12:00:00Z", "W_avg": float("inf")},
        {"id": 123, "ts": "2014-04-01T12:00:00Z", "W_avg": 10**400},
        {"id": 123, "ts": "2014-04-01T12:00:00Z", "W_avg": [1]},
        {"id": 123, "ts": "yesterday"},
        {"id": 123, "ts": "9999-01-01T00:00:00Z"},
        {"id": 123, "ts": 5},
        {"id": 123},
        "row",
    ],
)
def test_what_no_row_can_hold_is_refused(row):
    with pytest.raises(UnfitAnswerError):
        rows([row])
