from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from locus_stem.pipelines.bulk_extract import BulkMonths
from locus_stem.pipelines.rows import UnfitAnswerError
from locus_stem.planning.fields import FieldGroup
from locus_stem.planning.request import DataRequest
from locus_stem.planning.slices import month_slices

ZONE = "Europe/Berlin"
NOW = datetime(2026, 1, 15, tzinfo=UTC)
(KEPT,) = month_slices(date(2025, 1, 1), date(2025, 4, 1), ZONE, 12, NOW)
REQUEST = DataRequest("zone", 0, 0, ZONE, "monthly", KEPT, FieldGroup(("Wh_sum", "Whp_sum")))
SOURCE = BulkMonths(7, {ZONE: (1, 2), "UTC": (3,)})


def rows(*answer, end=KEPT.end):
    table, remarks = SOURCE.rows(answer, REQUEST, end)
    return [
        (row["entity_id"], row["local_date"], row["Wh_sum"], row["Whp_sum"]) for row in table.to_pylist()
    ], remarks


def row(site_id=1, ts="2025-02-01T00:00:00+01:00", **values):
    return {"id": site_id, "ts": ts, "Wh_sum": 1.0, "Whp_sum": None, **values}


@pytest.mark.parametrize(
    "ts",
    [
        "2025-02-01T00:00:00+01:00", "2025-02-01T00:00:00+02:00", "2025-02-01T00:00:00-11:00",
        "2025-02-01T00:00:00Z", "2025-02-01T12:00:00-07:00", "2025-02-28T23:00:00-00:00", "2025-02-01",
    ],
)  # fmt: skip
def test_a_month_is_that_of_the_wall_clock_whatever_the_offset(ts):
    assert rows(row(ts=ts)) == ([(1, date(2025, 2, 1), 1.0, None)], {})


def test_nulls_and_fields_left_out_are_null_and_zero_is_zero():
    answer = {"id": 2, "ts": "2025-01-01T00:00:00+01:00", "Wh_sum": 0}
    assert rows(answer) == ([(2, date(2025, 1, 1), 0.0, None)], {})


def test_sites_of_other_zones_are_left_out_and_ids_in_no_list_are_named():
    found, remarks = rows(row(3), row(1), row(99), row("2"))
    assert [one[0] for one in found] == [1, 2]
    assert remarks == {"strangers": ["99"]}


@pytest.mark.parametrize("no_id", [None, True, [], "", 0, -1, "1.0", 10**18])
def test_a_row_without_a_usable_id_may_be_of_any_site_that_lacks_a_month(no_id):
    whole = [row(1, ts=f"2025-0{month}-01T00:00:00Z") for month in (1, 2, 3)]
    found, remarks = rows(*whole, row(2), row(no_id))
    assert [one[:2] for one in found] == [(1, date(2025, month, 1)) for month in (1, 2, 3)]
    assert remarks.keys() == {"unfit"}
    assert remarks["unfit"].keys() == {"2"}
    assert "the id can't be read" in remarks["unfit"]["2"]


def test_an_answer_of_which_no_row_is_of_a_known_site_is_unfit_and_one_without_rows_is_not():
    for answer in ([row(99)], [row(None)], [row(99), row(None)]):
        with pytest.raises(UnfitAnswerError, match="none is of a site of the site list"):
            rows(*answer)
    assert rows() == ([], {})
    assert rows(row(3)) == ([], {})


def test_months_outside_of_what_was_asked_or_still_open_are_left_out():
    (one,) = month_slices(date(2025, 1, 1), date(2025, 3, 1), ZONE, 12, NOW)
    stamps = ["2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z", "2025-03-01T00:00:00Z", "2025-04-01T00:00:00Z"]
    found, _ = rows(*(row(ts=ts) for ts in stamps), end=one.end)
    assert [month for _, month, *_ in found] == [date(2025, 1, 1)]


def test_the_last_of_two_rows_of_a_month_is_kept():
    assert rows(row(Wh_sum=1), row(Wh_sum=2))[0] == [(1, date(2025, 2, 1), 2.0, None)]


@pytest.mark.parametrize("bad", [{"ts": "soon"}, {"ts": None}, {"Wh_sum": "7"}, {"Wh_sum": True}])
def test_a_site_whose_row_cannot_be_read_is_named_and_has_no_rows_and_others_have_theirs(bad):
    found, remarks = rows(row(1), row(1, **{"ts": "2025-01-01T00:00:00Z", **bad}), row(2))
    assert [one[0] for one in found] == [2]
    assert remarks["unfit"].keys() == {"1"}


def test_a_row_that_is_no_object_is_refused():
    with pytest.raises(UnfitAnswerError, match="list"):
        rows([])


def test_a_call_asks_for_the_zone_up_to_a_second_before_the_end():
    call = SOURCE.call(REQUEST)
    assert call.path == "/v3/partners/7/sites/data"
    assert dict(call.params) == {
        "start": "2025-01-01T00:00:00",
        "end": "2025-03-31T23:59:59",
        "tz": ZONE,
        "gran": "monthly",
        "fields": "Wh_sum,Whp_sum",
    }
