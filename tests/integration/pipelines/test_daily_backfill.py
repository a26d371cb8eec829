"""The daily job over real sockets into real tables, held against what the sandbox holds."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from deltalake import DeltaTable

from locus_stem.api.errors import ConfigurationError
from locus_stem.api.granularity import INTERVAL_GRANULARITIES
from locus_stem.demo.compare import Loaded, measured
from locus_stem.pipelines.batch_state import requests_of
from locus_stem.pipelines.plan import plan_daily_backfill
from locus_stem.pipelines.slot import Turn, UnansweredError
from locus_stem.planning.params import ParamError
from locus_stem.sandbox.options import Fault
from locus_stem.tables.objects import load_data_available

AFTER = datetime(2030, 1, 1, tzinfo=UTC)
BERLIN_DST = date(2025, 10, 26)


def versions(plant, table="locus_site_data"):
    return DeltaTable(plant.lake.table_uri(table)).version()


@pytest.mark.parametrize("level", ["site", "component"])
@pytest.mark.parametrize("granularity", INTERVAL_GRANULARITIES)
def test_tables_equal_the_api_for_every_granularity_and_level(plant, level, granularity):
    start = {
        "1min": date(2025, 10, 25),
        "5min": date(2025, 10, 20),
        "daily": date(2024, 2, 1),
        "monthly": date(2023, 1, 1),
        "yearly": date(2020, 1, 1),
    }
    plant = plant(end="inclusive", zone_case=True, utc_suffix="-00:00", offset="wrong")
    begin, end = start.get(granularity, date(2025, 10, 1)), date(2025, 10, 27)
    loaded = plant.backfill(BERLIN_DST, start=begin, end=end, level=level, granularity=granularity)
    assert plant.differences(Loaded(level, granularity, begin, end, AFTER)) == []
    assert loaded["counts"]["new"] > 0
    assert plant.most_in_flight() == 1


def test_a_second_load_and_a_second_run_change_nothing(plant):
    plant = plant()
    first = plant.backfill(BERLIN_DST)
    before = versions(plant), versions(plant, "coverage")
    again, rerun = plant.load(), plant.backfill(BERLIN_DST)
    assert (versions(plant), versions(plant, "coverage")) == before
    for counts in (again["counts"], rerun["counts"]):
        assert counts["unchanged"] == first["counts"]["new"]
        assert counts["new"] == counts["changed"] == counts["withdrawn"] == 0


def test_revised_values_are_updated_and_withdrawn_ones_are_null(plant):
    plant = plant()
    span = Loaded("site", "hourly", BERLIN_DST - timedelta(days=7), BERLIN_DST + timedelta(days=1), AFTER)
    plant.backfill(BERLIN_DST)
    site, other = list(plant.fleet.site_ids)[:2]
    noon = datetime(2025, 10, 24, 12, tzinfo=UTC)
    plant.server.revise("site", site, noon, noon + timedelta(hours=3))
    plant.server.revise("site", other, noon, noon + timedelta(hours=2), withdraw=True)
    counts = plant.backfill(BERLIN_DST)["counts"]
    assert (counts["new"], counts["changed"], counts["withdrawn"]) == (0, 3, 2)
    held = {(row["site_id"], row["ts"]): row for row in plant.lake.read("locus_site_data").to_pylist()}
    gone = held[other, noon]
    assert all(gone[name] is None for name in measured(plant.fleet, "site", other, "hourly"))
    assert [text for text in plant.differences(span) if str(other) not in text] == []


def test_a_year_at_15min_is_twelve_requests_a_site(plant):
    plant = plant(sites=3)
    planned = plant.plan(date(2025, 10, 1), start="2024-10-01", end="2025-10-01", granularity="15min")
    assert planned.requests == 3 * 12
    assert plant.data_requests() == []


def test_requests_are_sent_once_each_and_no_more_than_planned(plant):
    plant = plant(sites=3)
    planned = plant.plan(BERLIN_DST, start="2025-08-01", end="2025-10-27", level="component")
    plant.extract(planned)
    asked = [(served.path, served.query) for served in plant.data_requests()]
    assert len(asked) == planned.requests == len(set(asked))
    assert plant.server.stats()["by_status"].keys() == {200} or plant.server.stats()["by_status"].keys() == {
        "200"
    }


def test_plan_only_asks_for_no_data(plant):
    plant = plant()
    planned = plant.plan(BERLIN_DST, plan_only=True)
    assert planned.batches == []
    report = plant.report()
    assert "plan_only" in report.text
    assert report.failure is None
    assert plant.data_requests() == []


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"granularity": "2min"}, "granularity"),
        ({"fields": ["Nonsense_avg"]}, "fields"),
        ({"site_ids": [4711]}, "site_ids"),
        ({"component_ids": [4711], "level": "component"}, "component_ids"),
        ({"start": "2025-10-02", "end": "2025-10-01"}, "end"),
        ({"start": "2025-10-02", "end": "2025-10-02"}, "end"),
        ({"end": "2025-10-02"}, "end"),
        ({"level": "planet"}, "level"),
    ],
)
def test_a_wrong_param_is_refused_by_name_before_the_first_data_request(plant, params, name):
    plant = plant()
    with pytest.raises(ParamError, match=rf"param {name}="):
        plant.plan(BERLIN_DST, **params)
    assert plant.data_requests() == []


def test_a_field_that_some_sites_lack_is_asked_of_the_others(plant):
    plant = plant(sites=24)
    fields = {site: set(measured(plant.fleet, "site", site, "hourly")) for site in plant.fleet.site_ids}
    partial = next(iter(set.union(*fields.values()) - set.intersection(*fields.values())))
    plant.backfill(BERLIN_DST, fields=[partial], lookback_days=0)
    held = {row["site_id"] for row in plant.lake.read("locus_site_data").to_pylist()}
    assert held == {site for site, names in fields.items() if partial in names}


def test_a_refused_entity_is_skipped_and_named_and_keeps_its_rows(plant):
    plant = plant(sites=24)
    plant.backfill(BERLIN_DST)
    site = plant.fleet.site_ids[3]
    before = [row for row in plant.lake.read("locus_site_data").to_pylist() if row["site_id"] == site]
    plant.forbid(site)
    loaded = plant.backfill(BERLIN_DST)
    assert list(loaded["skipped"]) == [str(site)]
    assert "403" in loaded["skipped"][str(site)]
    report = plant.report()
    assert f"site {site}" in report.text
    assert report.failure is None
    assert [row for row in plant.lake.read("locus_site_data").to_pylist() if row["site_id"] == site] == before
    marks = plant.lake.read(
        "coverage", filters=[("entity_id", "=", str(site)), ("source", "=", "locus_site_data")]
    )
    assert all(row["skipped"] for row in marks.to_pylist())


def test_more_than_a_tenth_refused_fails_the_run_after_loading_the_rest(plant):
    plant = plant(sites=5)
    plant.inventory()
    plant.forbid(plant.fleet.site_ids[0])
    loaded = plant.backfill(BERLIN_DST)
    assert loaded["counts"]["new"] > 0
    assert "refused 1 of 5" in plant.report().failure


def test_one_bad_field_is_found_by_halving_and_the_others_are_loaded(plant):
    plant = plant(sites=2)
    plant.inventory()
    plant.spoil("Wh_sum")
    loaded = plant.backfill(BERLIN_DST)
    assert loaded["skipped"] == {}
    assert {name for reasons in loaded["skipped_fields"].values() for name in reasons} == {"Wh_sum"}
    rows = plant.lake.read("locus_site_data").to_pylist()
    assert any(row["W_avg"] is not None for row in rows)


def test_a_turn_that_ends_goes_on_from_staging_without_asking_again(plant):
    plant = plant(sites=12, latency_ms=10)
    planned = plant.plan(BERLIN_DST, start="2025-09-01", end="2025-10-27", granularity="15min")
    plant.turn_seconds = 0.15
    turns = plant.extract(planned)
    asked = [(served.path, served.query) for served in plant.data_requests()]
    assert turns > 1
    assert len(asked) == len(set(asked)) == planned.requests
    plant.load()
    assert plant.differences(Loaded("site", "15min", date(2025, 9, 1), date(2025, 10, 27), AFTER)) == []


def test_only_intervals_that_have_ended_are_loaded(plant):
    plant = plant(sites=3)
    plant.fleet._now = None  # the real clock: the hour that is running is answered, with what it has so far
    today = datetime.now(UTC).date()
    plant.backfill(today, lookback_days=1)
    rows = plant.lake.read("locus_site_data").to_pylist()
    assert max(row["ts"] for row in rows) + timedelta(hours=1) <= datetime.now(UTC)
    assert max(row["ts"] for row in rows) + timedelta(hours=4) >= datetime.now(UTC)


def test_coverage_adds_up_to_what_the_sandbox_holds(plant):
    plant = plant()
    plant.backfill(BERLIN_DST)
    marks = [row for row in plant.lake.read("coverage").to_pylist() if row["granularity"] == "hourly"]
    rows = plant.lake.read("locus_site_data").to_pylist()
    due = sum(len(measured(plant.fleet, "site", site, "hourly")) for site in plant.fleet.site_ids)
    assert sum(mark["expected"] for mark in marks) >= due * 8 * 24
    names = {name for site in plant.fleet.site_ids for name in measured(plant.fleet, "site", site, "hourly")}
    assert sum(mark["received"] for mark in marks) == sum(
        row[name] is not None for row in rows for name in names
    )
    assert all(mark["expected"] >= mark["received"] + mark["null_count"] for mark in marks)


def test_a_scheduled_run_completes_a_date_of_which_a_run_by_hand_has_asked_a_part(plant):
    plant = plant(sites=3)
    plant.sending = {"now": lambda: datetime(2025, 10, 8, 19, 0, tzinfo=UTC)}
    plant.backfill(date(2025, 10, 8), start="2025-10-06", end="2025-10-09")
    marks = plant.lake.read("coverage").to_pylist()
    partly = {mark["expected"] for mark in marks if mark["field"] and mark["local_date"] == date(2025, 10, 8)}
    assert partly
    assert all(0 < expected < 24 for expected in partly)
    plant.sending = {}
    plant.backfill(date(2025, 10, 26), start="2025-10-09", end="2025-10-27")
    plant.backfill(date(2025, 10, 26), scheduled=True)
    assert plant.differences(Loaded("site", "hourly", date(2025, 10, 6), date(2025, 10, 27), AFTER)) == []


def test_a_scheduled_run_reaches_back_to_the_last_day_covered(plant):
    plant = plant(sites=2)
    plant.backfill(date(2025, 10, 1), scheduled=True)
    plant.backfill(date(2025, 10, 20), scheduled=True)
    assert plant.differences(Loaded("site", "hourly", date(2025, 9, 24), date(2025, 10, 21), AFTER)) == []


def test_the_report_counts_what_the_sandbox_saw(plant):
    plant = plant()
    plant.server.reset()
    plant.backfill(BERLIN_DST)
    report = plant.report()
    assert report.done
    assert f"requests: {len(plant.server.log)} " in report.text
    runs = plant.lake.read("runs").to_pylist()
    assert sum(run["requests"] for run in runs) == len(plant.server.log)
    assert sum(run["rows_new"] for run in runs) == plant.lake.read("locus_site_data").num_rows


def test_a_partner_that_the_account_may_not_read_is_named_with_its_value(plant):
    plant = plant()
    with (
        plant.client() as client,
        pytest.raises(ConfigurationError, match=r"partner_id=2 is refused.*may read"),
    ):
        plan_daily_backfill(plant.lake, {}, 2, "backfill-test", BERLIN_DST, Turn(client), scheduled=False)
    assert plant.data_requests() == []


FAULTS = (
    "429", "429-retry-after", "500", "503", "reset", "empty", "cut-off", "garbled", "not-json", "status-in-body", "401",
    "hang", "slow", "refresh-without-refresh-token", "refresh-refused",
)  # fmt: skip


@pytest.mark.parametrize("level", ["site", "component"])
def test_tables_are_exact_while_every_fault_happens_and_tokens_end(plant, level):
    faults = tuple(
        Fault(kind, 0.02 if kind in {"hang", "slow", "429-retry-after"} else 0.08) for kind in FAULTS
    )
    plant = plant(
        sites=6, timeout=1.0, faults=faults, fault_streak=2, token_life=2, revoke_every=1.5, slow_seconds=0.3
    )
    loaded = plant.backfill(BERLIN_DST, level=level)
    span = Loaded(level, "hourly", BERLIN_DST - timedelta(days=7), BERLIN_DST + timedelta(days=1), AFTER)
    assert plant.differences(span) == []
    assert loaded["skipped"] == {}
    assert {served.fault for served in plant.server.log} > {None, "500"}
    hung = sum(served.fault == "hang" for served in plant.server.log)
    assert hung or plant.most_in_flight() == 1


def test_an_entity_whose_available_data_is_refused_is_named_in_each_run_and_asked_again(plant):
    plant = plant(sites=5)
    site = plant.fleet.site_ids[1]
    plant.forbid(site)
    for _ in range(2):
        loaded = plant.backfill(BERLIN_DST)
        report = plant.report()
        assert "403" in report.text
        assert f"site {site}" in report.text
        assert "refused 1 of" in report.failure
        assert loaded["skipped"] == {}
    plant.forgive()
    plant.backfill(BERLIN_DST)
    assert plant.report().failure is None
    assert site in plant.lake.read("locus_site_data").column("site_id").to_pylist()


def test_a_field_that_no_table_can_hold_is_left_out_and_the_others_are_loaded(plant):
    plant = plant(sites=3)
    plant.inventory()
    listed = plant.lake.read("locus_data_available").to_pylist()
    odd = [
        {
            "baseField": "M",
            "source": "Measured",
            "granularities": ["hourly"],
            "aggregations": [{"shortName": name}],
        }
        for name in ("month", "wh_SUM")
    ]
    site = listed[0]["entity_id"] if listed[0]["entity_type"] == "site" else plant.fleet.site_ids[0]
    load_data_available(plant.lake, {("site", site): [*plant.fleet.data_available("site", site), *odd]})
    loaded = plant.backfill(BERLIN_DST)
    assert loaded["counts"]["new"] > 0
    assert "field 'month' isn't loaded" in plant.report().text
    assert "field 'wh_SUM' isn't loaded: it differs only in case from 'Wh_sum'" in plant.report().text
    with pytest.raises(ParamError, match=r"param fields='month': can't be loaded"):
        plant.plan(BERLIN_DST, fields=["month"])


def test_runs_counts_every_turn_of_planning(plant):
    plant = plant(sites=8, turn_seconds=0.5, latency_ms=50)
    plant.backfill(BERLIN_DST, level="component")
    plant.report()
    assert sum(run["requests"] for run in plant.lake.read("runs").to_pylist()) == len(plant.server.log)
    assert len([served for served in plant.server.log if served.path == "/oauth/token"]) > 3


def test_a_turns_end_cuts_a_wait_off_and_what_was_answered_stays(plant):
    plant = plant(sites=4, faults=(Fault("503", 1.0),), fault_streak=1)
    planned = plant.plan(BERLIN_DST)
    plant.turn_seconds = 1.5
    began = time.monotonic()
    turns = plant.extract(planned)
    plant.load()
    span = Loaded("site", "hourly", BERLIN_DST - timedelta(days=7), BERLIN_DST + timedelta(days=1), AFTER)
    assert plant.differences(span) == []
    good = [
        served.path for served in plant.server.log if served.path.endswith("/data") and served.status == 200
    ]
    assert len(good) == len(set(good))
    assert turns >= 1
    assert time.monotonic() - began < 60


def test_an_api_that_fails_for_longer_than_five_minutes_of_turns_is_given_up(plant, monkeypatch):
    monkeypatch.setattr("locus_stem.pipelines.extract.BUDGET_SECONDS", 3.0)
    plant = plant(sites=2, turn_seconds=1.0)
    planned = plant.plan(BERLIN_DST)
    plant.spoil_with(Fault("503", 1.0), streak=10**6)
    with pytest.raises(UnansweredError, match=r"no answer in \d+ s \(\d+ x 503; the last failure: HTTP 503"):
        plant.extract(planned)


def test_a_slice_that_is_refused_does_not_take_the_entitys_other_slices_with_it(plant):
    plant = plant(sites=2)
    plant.inventory()
    site = plant.fleet.site_ids[0]
    planned = plant.plan(BERLIN_DST, start="2025-08-01", end="2025-10-27", site_ids=[site])
    first = requests_of(plant.staging, 0)[0]
    plant.spoil_with(Fault("bad-request", target=f"{site}@{first.slice.query_start}"))
    plant.extract(planned)
    loaded = plant.load()
    assert loaded["skipped"] == {}
    assert {name.partition(" ")[2] for name in loaded["skipped_fields"][str(site)]} == {"from 2025-08-01"}
    held = plant.lake.read("locus_site_data").column("local_date").to_pylist()
    assert date(2025, 8, 31) <= min(held) <= date(2025, 9, 2)


def test_a_scheduled_run_heals_what_a_run_by_hand_for_one_site_left_out(plant):
    plant = plant(sites=2)
    plant.backfill(date(2025, 10, 1), scheduled=True)
    plant.backfill(
        date(2025, 10, 19), start="2025-10-19", end="2025-10-20", site_ids=[plant.fleet.site_ids[0]]
    )
    plant.backfill(date(2025, 10, 20), scheduled=True)
    assert plant.differences(Loaded("site", "hourly", date(2025, 9, 24), date(2025, 10, 21), AFTER)) == []


def test_a_scheduled_run_heals_what_a_refusal_left_out(plant):
    plant = plant(sites=2)
    plant.backfill(date(2025, 10, 1), scheduled=True)
    plant.forbid(plant.fleet.site_ids[0])
    plant.backfill(date(2025, 10, 12), scheduled=True)
    plant.forgive()
    plant.backfill(date(2025, 10, 20), scheduled=True)
    assert plant.differences(Loaded("site", "hourly", date(2025, 9, 24), date(2025, 10, 21), AFTER)) == []


def test_a_field_that_every_site_is_refused_is_searched_for_at_the_first_of_them_only(plant):
    plant = plant(sites=24)
    planned = plant.plan(BERLIN_DST, lookback_days=0)
    fields = {site: measured(plant.fleet, "site", site, "hourly") for site in plant.fleet.site_ids}
    having = [site for site, names in fields.items() if "Wh_sum" in names]
    plant.spoil("Wh_sum")
    plant.extract(planned)
    asked = Counter(int(served.path.split("/")[3]) for served in plant.data_requests())
    searched = [site for site in having if asked[site] > 2]
    assert 2 <= len(searched) <= 4  # what is on its way when the second is refused is searched too
    assert {asked[site] for site in having if site not in searched} == {2}
    loaded = plant.load()
    assert set(loaded["skipped_fields"]) == set(map(str, having))
    assert loaded["skipped"] == {}
