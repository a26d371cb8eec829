"""The monthly bulk job over real sockets into a real table, held against what the sandbox holds."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from deltalake import DeltaTable

from locus_stem.demo import compare
from locus_stem.pipelines.bulk_extract import BulkMonths
from locus_stem.pipelines.knowledge import DATA_AVAILABLE
from locus_stem.pipelines.load import IncompleteBatchError
from locus_stem.pipelines.plan import NothingAllowedError
from locus_stem.planning.params import ParamError
from locus_stem.planning.slices import months_later
from locus_stem.planning.zones import with_one_name
from locus_stem.tables.coverage import record_fetch
from locus_stem.tables.objects import load_objects
from support.bulk import ALL, END, START, TABLE


def test_a_count_that_differs_in_coverage_is_noted_and_a_missing_one(bulk):
    bulk = bulk(6)
    bulk.run()
    due = (bulk.plant.lake, bulk.plant.fleet, [(START, END)], ALL)
    assert compare.bulk_coverage(*due).differing == 0
    coverage = DeltaTable(bulk.plant.lake.table_uri("coverage"))
    site = f"entity_id = '{bulk.plant.fleet.site_ids[0]}' AND field = '{ALL[0]}'"
    coverage.update({"received": "received + 1"}, predicate=f"{site} AND local_date = DATE '{START}'")
    coverage.delete(f"{site} AND local_date > DATE '{START}'")
    months = (END.year - START.year) * 12 + END.month - START.month
    assert compare.bulk_coverage(*due).differing == months


def bare(fleet):
    return [site_id for site_id in fleet.site_ids if not fleet.components(site_id)]


@pytest.mark.parametrize(
    "options", [{}, {"end": "inclusive", "offset": "wrong", "zone_case": True}, {"utc_suffix": "Z"}]
)
def test_thirty_months_of_five_zones_and_more_equal_the_api(bulk, options):
    bulk = bulk(**options)
    loaded = bulk.run()
    named = {site_id: bulk.plant.fleet.zone(site_id) for site_id in bulk.plant.fleet.site_ids}
    zones = set(with_one_name(named).values())  # America/Los_Angeles is US/Pacific too
    assert len(set(named.values())) > len(zones) >= 5
    asked = bulk.plant.data_requests()
    assert len(asked) == len(zones) * 3
    assert bulk.plant.most_in_flight() == 1
    assert bulk.differences() == []
    assert compare.bulk_coverage(bulk.plant.lake, bulk.plant.fleet, [(START, END)], ALL).examples == []
    assert loaded["counts"]["new"] == len(bulk.rows())
    values = [value for row in bulk.rows().values() for value in row.values()]
    assert None in values


def test_a_second_run_changes_nothing(bulk):
    bulk = bulk()
    first = bulk.run()["counts"]
    versions = bulk.version(), bulk.version("coverage")
    before = len(bulk.plant.server.log)
    second = bulk.run()["counts"]
    assert (second["new"], second["changed"], second["withdrawn"]) == (0, 0, 0)
    assert second["unchanged"] == first["new"]
    assert (bulk.version(), bulk.version("coverage")) == versions
    asked = Counter(served.path.rsplit("/", 1)[-1] for served in bulk.plant.server.log[before:])
    assert asked["data"] == len(bulk.plant.data_requests()) / 2
    assert asked["dataavailable"] == 0


def test_revisions_are_taken_over_and_counted(bulk):
    bulk = bulk()
    bulk.run()
    fleet = bulk.plant.fleet
    site_id = fleet.site_ids[0]
    noon = datetime(2023, 5, 4, 12, tzinfo=ZoneInfo(fleet.zone(site_id)))
    bulk.plant.server.revise("site", site_id, noon, noon.replace(hour=15))
    counts = bulk.run()["counts"]
    assert (counts["new"], counts["changed"], counts["withdrawn"]) == (0, 1, 0)
    assert bulk.differences() == []


def test_a_withdrawn_value_becomes_null_and_the_other_columns_follow_the_answer(bulk):
    bulk = bulk()
    bulk.run()
    fleet = bulk.plant.fleet
    site_id = fleet.site_ids[1]
    zone = ZoneInfo(fleet.zone(site_id))
    bulk.plant.server.revise(
        "site", site_id, datetime(2023, 5, 1, tzinfo=zone), datetime(2023, 6, 1, tzinfo=zone), withdraw=True
    )
    counts = bulk.run()["counts"]
    assert (counts["new"], counts["changed"], counts["withdrawn"]) == (0, 1, 0)
    row = bulk.rows()[site_id, date(2023, 5, 1)]
    assert row["Wh_sum"] is None
    assert row["GHIh_m_sum"] is not None
    assert bulk.differences() == []
    assert bulk.run(fields=["Wh_sum"])["counts"]["unchanged"] == len(bulk.rows())


def test_a_row_that_is_no_longer_answered_becomes_null_inside_the_window_alone(bulk, monkeypatch):
    bulk = bulk()
    bulk.run()
    before = bulk.rows()
    site_id = bulk.plant.fleet.site_ids[2]
    forget(bulk, monkeypatch, site_id)
    counts = bulk.run(start="2023-01", end="2023-07")["counts"]
    assert (counts["new"], counts["changed"], counts["withdrawn"]) == (0, 0, 6)
    for key, row in bulk.rows().items():
        gone = key[0] == site_id and date(2023, 1, 1) <= key[1] < date(2023, 7, 1)
        assert row == (dict.fromkeys(row) if gone else before[key])
    assert bulk.run(start="2023-01", end="2023-07")["counts"]["withdrawn"] == 0


def forget(bulk, monkeypatch, site_id):
    """Let the API lose a site's components, and with them its data objects."""
    site = bulk.plant.fleet.site(site_id)
    lost = type(site)(**{name: getattr(site, name) for name in site.__slots__} | {"inverters": 0})
    known = bulk.plant.fleet.site
    monkeypatch.setattr(bulk.plant.fleet, "site", lambda number: lost if number == site_id else known(number))


def test_sites_without_a_data_object_are_named_and_skipped_in_coverage_and_fail_nothing(bulk):
    bulk = bulk()
    loaded = bulk.run()
    without = bare(bulk.plant.fleet)
    assert len(without) >= 2
    assert list(loaded["without_data"]) == [str(site_id) for site_id in without]
    report = bulk.report()
    assert report.failure is None
    for site_id in without:
        assert f"site {site_id}: bulk data has no data object" in report.text
    skipped = {row["entity_id"] for row in coverage(bulk) if row["skipped"]}
    assert skipped == {str(site_id) for site_id in without}
    assert {row["entities_skipped"] for row in bulk.plant.lake.read("runs").to_pylist()} == {0, len(without)}


def coverage(bulk):
    return bulk.plant.lake.read("coverage", filters=[("source", "=", TABLE)]).to_pylist()


def test_coverage_counts_values_nulls_and_what_is_missing(bulk):
    bulk = bulk()
    bulk.run()
    rows = bulk.rows()
    held = coverage(bulk)
    assert len(held) == len(bulk.plant.fleet.site_ids) * 30 * len(ALL)
    for one in held:
        assert (one["entity_type"], one["granularity"], one["expected"]) == ("site", "monthly", 1)
        row = rows.get((int(one["entity_id"]), one["local_date"]))
        value = row and row[one["field"]]
        assert (one["received"], one["null_count"]) == (
            float(value is not None),
            float(row is not None and value is None),
        )


def test_prorated_and_plain_fields_stand_side_by_side_and_a_later_field_joins_them(bulk):
    bulk = bulk()
    bulk.run(fields=["Wh_sum", "Whp_sum"])
    assert bulk.differences(fields=("Wh_sum", "Whp_sum")) == []
    assert any(row["Wh_sum"] != row["Whp_sum"] for row in bulk.rows().values())
    counts = bulk.run(fields=["EER_avg"])["counts"]
    assert counts["new"] == counts["withdrawn"] == 0
    assert bulk.differences(fields=("EER_avg", "Wh_sum", "Whp_sum")) == []


def test_ranges_in_any_order_add_up(bulk):
    bulk = bulk(sites=8)
    bulk.run(start="2024-01", end="2024-03")
    bulk.run(start="2022-11", end="2023-02")
    bulk.run(start="2023-12", end="2024-02")
    spans = [(date(2022, 11, 1), date(2023, 2, 1)), (date(2023, 12, 1), date(2024, 3, 1))]
    assert bulk.differences(*spans) == []


def test_a_month_still_open_is_neither_asked_for_nor_loaded(bulk):
    bulk = bulk(sites=8)
    bulk.plant.fleet.set_now(None)
    current = datetime.now(UTC).date().replace(day=1)
    bulk.run(start=f"{months_later(current, -2):%Y-%m}", end=f"{months_later(current, 3):%Y-%m}")
    months = {month for _, month in bulk.rows()}
    assert months_later(current, -2) in months
    assert months <= {months_later(current, -2), months_later(current, -1)}
    future = bulk.plan(start="2090-01", end="2090-03")
    assert future.batches == []
    assert bulk.report().failure is None


def test_a_refused_field_is_found_by_halving_and_named_and_the_others_are_loaded(bulk):
    bulk = bulk(sites=8)
    bulk.run(start="2023-01", end="2023-03")
    before = bulk.rows()
    bulk.plant.spoil("EER_avg")
    zones = len({bulk.plant.fleet.zone(site_id) for site_id in bulk.plant.fleet.site_ids})
    loaded = bulk.run(start="2023-01", end="2023-06")
    assert bulk.rows().keys() > before.keys()
    assert {key: bulk.rows()[key] for key in before} == before
    assert all(row["EER_avg"] is None for key, row in bulk.rows().items() if key not in before)
    assert loaded["skipped"] == {}
    report = bulk.report()
    assert report.text.count("field EER_avg: ") == zones
    assert report.failure is None
    skipped = [row for row in coverage(bulk) if row["skipped"] and row["field"] == "EER_avg"]
    assert len(skipped) == 5 * 8


def test_a_partner_whose_bulk_data_is_refused_fails_the_run_and_keeps_the_rows(bulk):
    bulk = bulk(sites=8)
    bulk.run(start="2023-01", end="2023-03")
    before = bulk.rows()
    planned = bulk.plan(start="2023-01", end="2023-03")
    bulk.plant.forbid(1)
    bulk.extract(planned)
    loaded = bulk.load()
    assert len(loaded["skipped"]) == 8
    report = bulk.report()
    assert "8 of 8" in report.failure
    assert "HTTP 403" in report.text
    assert bulk.rows() == before


def test_a_partner_that_may_not_know_what_there_is_is_named_and_asked_again(bulk):
    bulk = bulk(sites=3)
    bulk.plan()
    record_fetch(bulk.plant.lake, DATA_AVAILABLE, "partner", "1", date(2020, 1, 1))
    forgotten = bulk.plant.lake.open("coverage")
    forgotten.delete(f"source = '{DATA_AVAILABLE}' AND local_date > DATE '2020-01-01'")
    bulk.plant.forbid(1)
    for _ in range(2):
        with pytest.raises(NothingAllowedError, match="bulk data"):
            bulk.plan()
    bulk.plant.forgive()
    assert bulk.plan().requests > 0


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"start": "2025-13"}, "start_month"),
        ({"end": "2022-01"}, "end_month"),
        ({"start": None}, "end_month"),
        ({"fields": ["Nonsense_avg"]}, "fields"),
        ({"fields": ["W_avg"]}, "fields"),
    ],
)
def test_a_wrong_param_is_refused_by_name_before_the_first_data_request(bulk, params, name):
    bulk = bulk(sites=3)
    with pytest.raises(ParamError, match=rf"param {name}="):
        bulk.plan(**params)
    assert bulk.plant.data_requests() == []


def test_turns_that_end_early_ask_for_nothing_twice_and_an_unfinished_batch_is_not_loaded(bulk):
    bulk = bulk(sites=12, latency_ms=40)
    planned = bulk.plan()
    with pytest.raises(IncompleteBatchError):
        bulk.load()
    assert bulk.plant.lake.open(TABLE) is None
    bulk.extract(planned, seconds=0.2)
    bulk.load()
    asked = [(served.path, served.query) for served in bulk.plant.data_requests()]
    assert len(asked) == len(set(asked)) == planned.requests
    assert bulk.differences() == []


def test_a_site_whose_rows_cannot_be_read_is_skipped_and_keeps_its_rows(bulk):
    class Garbled(BulkMonths):
        def rows(self, payload, request, end):
            spoilt = [{**row, "ts": "soon"} if row["id"] == site_id else row for row in payload]
            return super().rows(spoilt, request, end)

    bulk = bulk(sites=24)
    site_id = bulk.plant.fleet.site_ids[0]
    bulk.run()
    before = bulk.rows()
    bulk.extract(bulk.plan(), source=Garbled)
    loaded = bulk.load()
    assert list(loaded["skipped"]) == [str(site_id)]
    assert bulk.rows() == before
    assert f"site {site_id}: unfit answer" in bulk.report().text
    held = [row for row in coverage(bulk) if row["entity_id"] == str(site_id)]
    assert all(row["skipped"] for row in held)
    assert any(row["received"] for row in held)


def test_an_answered_site_that_the_site_list_lacks_is_named_and_not_loaded(bulk):
    bulk = bulk(sites=8)
    bulk.plan()
    fleet, today = bulk.plant.fleet, datetime.now(UTC).date()
    listed = [fleet.site_object(site_id) for site_id in fleet.site_ids[1:]]
    load_objects(bulk.plant.lake, "locus_sites", listed, complete=True, today=today)
    bulk.run()
    assert fleet.site_ids[0] not in {site_id for site_id, _ in bulk.rows()}
    assert f"not in the site list, so not loaded: {fleet.site_ids[0]}" in bulk.report().text
