"""The Stem job over real sockets into real tables, held against what the sandbox holds."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qsl, unquote

import pytest

from locus_stem.api.errors import RetriableError
from locus_stem.api.stem import STREAM_TYPES
from locus_stem.demo import compare_stem
from locus_stem.demo.compare_stem import LoadedStreams
from locus_stem.pipelines.load import IncompleteBatchError
from locus_stem.pipelines.plan import NothingAllowedError
from locus_stem.pipelines.stem_extract import Streams
from locus_stem.planning.params import ParamError
from locus_stem.sandbox import stem_fleet
from locus_stem.sandbox.options import Fault
from locus_stem.tables.schemas import SPECS
from support.storage import DAY, END, NOW, START, TABLE


def ids(served):
    return unquote(served.path.split("/")[4])


@pytest.mark.parametrize("shift", ["literal", "example", "none"])
@pytest.mark.parametrize("resolution", [900, 1800, 3600])
def test_the_table_equals_the_api_however_it_shifts_start_and_end(storage, shift, resolution):
    storage = storage(stem_shift=shift)
    loaded = storage.run(resolution=resolution)
    assert loaded["counts"]["new"] > 0
    assert storage.differences(LoadedStreams(resolution, START, END, NOW)) == []
    assert any(value is None for value in storage.rows().values())


def test_three_pages_of_sites_with_names_of_any_letters_are_all_there(storage):
    storage = storage(sites=230, stem_page_as_text=True)
    planned = storage.plan(lookback_days=0)
    lists = [served for served in storage.server.log if served.path.endswith("/sites")]
    assert len([served for served in lists if served.status == 200]) == 4  # 2 clients of 115 sites
    assert planned.requests == 230
    storage.extract(planned)
    storage.load()
    found = compare_stem.objects(storage.lake, storage.fleet)
    assert [difference.examples for difference in found] == [[], []]
    assert storage.differences(LoadedStreams(900, DAY, END, NOW)) == []
    names = {name for name, *_ in storage.rows()}
    assert names == set(storage.fleet.stem.site_ids)
    for letters in ("/", " ", "ü", "%", "?#"):
        assert any(letters in name for name in names)
    assert storage.server.stats()["by_status"].keys() <= {200, 400, "200", "400"}


def test_one_client_of_230_sites_on_three_pages(storage, monkeypatch):
    storage = storage(sites=230)
    monkeypatch.setattr(storage.fleet.stem, "clients", 1)
    storage.plan(plan_only=True)
    lists = [served for served in storage.server.log if served.path.endswith("/sites")]
    assert len(lists) == 3
    assert len(storage.lake.read("stem_sites")) == 230


def test_a_second_run_changes_nothing_and_asks_for_the_streams_alone(storage):
    storage = storage()
    first = storage.run()
    before, asked = storage.versions(), len(storage.server.log)
    again = storage.load()
    second = storage.run()
    assert storage.versions() == before
    for counts in (again["counts"], second["counts"]):
        assert counts["unchanged"] == first["counts"]["new"]
        assert counts["new"] == counts["changed"] == counts["withdrawn"] == 0
    assert [served.path.rsplit("/", 1)[-1] for served in storage.server.log[asked:]] == ["streams"] * 6


def test_a_year_and_more_is_the_fewest_requests_each_asked_once_with_all_streams(storage):
    storage = storage(sites=2)
    planned = storage.plan(start="2023-06-01", end="2025-10-27", resolution=3600)
    storage.extract(planned)
    asked = Counter(ids(served) for served in storage.data_requests())
    assert asked == Counter(dict.fromkeys(storage.fleet.stem.site_ids, 3))
    storage.load()
    assert storage.differences(LoadedStreams(3600, date(2023, 6, 1), END, NOW)) == []


def test_no_site_is_asked_for_a_time_before_its_streams_begin_nor_for_streams_that_it_lacks(storage):
    storage = storage()
    storage.run(start="2020-01-01", end="2023-03-01", resolution=3600)
    for served in storage.data_requests():
        query = dict(parse_qsl(served.query))
        starts = storage.fleet.stem.site(ids(served)).starts
        asked = query["stream_type"].split(",")
        assert set(asked) <= starts.keys()
        start, end = (datetime.fromisoformat(query[name]) for name in ("start_datetime", "end_datetime"))
        assert start >= min(starts[name] for name in asked)
        assert all(starts[name] < end for name in asked)
    span = LoadedStreams(3600, date(2020, 1, 1), date(2023, 3, 1), NOW)
    assert storage.differences(span) == []


def test_a_stream_type_that_a_site_lacks_is_known_and_no_failure(storage):
    storage = storage()
    loaded = storage.run(stream_types=["CONVERTER"])
    lacking = [s for s in storage.fleet.stem.site_ids if "CONVERTER" not in storage.fleet.stem.site(s).starts]
    assert lacking
    assert loaded["skipped"] == loaded["skipped_fields"] == {}
    report = storage.report()
    assert report.failure is None
    for site in lacking:
        assert f"site {site}: the site has no stream CONVERTER" in report.text
    span = LoadedStreams(900, START, END, NOW, stream_types=("CONVERTER",))
    assert storage.differences(span) == []
    assert lacking[0] not in {ids(served) for served in storage.data_requests()}


def test_an_empty_window_is_an_answer_without_rows(storage):
    storage = storage(sites=3)
    site = storage.fleet.stem.site_ids[0]
    begin, end = (datetime(2025, 10, day, tzinfo=UTC) for day in (19, 27))
    storage.server.revise(
        "stem_site", site, begin - timedelta(days=1), end + timedelta(days=1), withdraw=True
    )
    loaded = storage.run()
    assert loaded["skipped"] == {}
    assert site not in {name for name, *_ in storage.rows()}
    assert storage.differences() == []
    marks = storage.coverage(entity_id=site)
    assert {(mark["expected"], mark["received"], mark["null_count"]) for mark in marks} == {(96.0, 0.0, 0.0)}
    assert storage.report().failure is None


def test_what_is_revised_is_updated_and_what_is_withdrawn_becomes_null_with_its_row_kept(storage):
    storage = storage()
    storage.run()
    before = storage.rows()
    first, second = storage.fleet.stem.site_ids[:2]
    noon = datetime(2025, 10, 22, 12, tzinfo=UTC)
    storage.server.revise("stem_site", first, noon, noon + timedelta(hours=1), fields=["MONITOR"])
    storage.server.revise("stem_site", second, noon, noon + timedelta(hours=2), withdraw=True)
    counts = storage.run()["counts"]
    gone = {
        key
        for key, value in before.items()
        if key[0] == second and noon < key[3] <= noon + timedelta(hours=2) and value is not None
    }
    assert (counts["new"], counts["changed"], counts["withdrawn"]) == (0, 4, len(gone))
    after = storage.rows()
    assert before.keys() == after.keys()
    changed = {key for key in before if before[key] != after[key]}
    assert gone <= changed
    assert all(after[key] is None for key in gone)
    assert {key[:2] for key in changed - gone} == {(first, "MONITOR")}
    assert storage.run()["counts"]["changed"] == 0


def test_a_window_that_becomes_empty_withdraws_its_rows_and_no_others(storage):
    storage = storage(sites=2)
    storage.run(start="2025-09-01", end="2025-10-27")
    before = storage.rows()
    site = storage.fleet.stem.site_ids[1]
    storage.server.revise(
        "stem_site", site, datetime(2025, 9, 1, tzinfo=UTC), NOW, withdraw=True, fields=None
    )
    storage.run()
    first = datetime(2025, 10, 19, tzinfo=UTC)
    for key, value in storage.rows().items():
        inside = key[0] == site and first < key[3]
        assert value == (None if inside else before[key])


def test_resolutions_stand_beside_each_other(storage):
    storage = storage(sites=3)
    for resolution in (900, 3600, 1800):
        storage.run(resolution=resolution)
    spans = [LoadedStreams(resolution, START, END, NOW) for resolution in (900, 1800, 3600)]
    assert storage.differences(*spans) == []


def test_ranges_in_any_order_add_up_to_their_union(storage):
    storage = storage(sites=3)
    for start, end in (
        ("2025-03-01", "2025-04-10"),
        ("2024-11-20", "2025-01-05"),
        ("2025-01-05", "2025-03-01"),
    ):
        storage.run(start=start, end=end)
    assert storage.differences(LoadedStreams(900, date(2024, 11, 20), date(2025, 4, 10), NOW)) == []


@pytest.mark.parametrize("kind", ["forbidden", "gone", "bad-request"])
def test_a_refused_site_is_skipped_and_named_and_keeps_its_rows(storage, kind):
    storage = storage(sites=12)
    storage.run()
    before = storage.rows()
    site = storage.fleet.stem.site_ids[3]
    storage.serve(faults=(Fault(kind, target=site),))
    loaded = storage.run()
    assert list(loaded["skipped"]) == [site]
    assert len(storage.data_requests()) == 12
    report = storage.report()
    assert f"site {site}: " in report.text
    assert report.failure is None
    assert storage.rows() == before
    marks = storage.coverage(entity_id=site)
    assert all(mark["skipped"] and mark["received"] for mark in marks)


def test_more_than_a_tenth_refused_fails_the_run_after_loading_the_rest(storage):
    storage = storage(sites=6)
    storage.serve(faults=(Fault("forbidden", target=storage.fleet.stem.site_ids[0]),))
    assert storage.run()["counts"]["new"] > 0
    assert "refused 1 of 6" in storage.report().failure


def test_a_stream_that_the_api_says_is_unavailable_is_left_out_and_known(storage, monkeypatch):
    storage = storage(sites=2)
    storage.plan(start="2023-06-01")
    stem = storage.fleet.stem
    site = next(s for s in stem.site_ids if len(stem.site(s).starts) == 3)
    known = stem.site

    def without(name):
        found = known(name)
        if name == site:
            found = replace(found, starts={k: at for k, at in found.starts.items() if k != "CONVERTER"})
        return found

    monkeypatch.setattr(stem, "site", without)
    loaded = storage.run(start="2023-06-01", resolution=3600)
    assert loaded["skipped"] == {}
    assert list(loaded["skipped_fields"]) == [site]
    assert "CONVERTER" in loaded["skipped_fields"][site]
    # three slices, two of them perhaps on their way before the first was refused
    assert Counter(ids(served) for served in storage.data_requests())[site] in {4, 5, 6}
    report = storage.report()
    assert report.failure is None
    assert f"site {site}, field CONVERTER: " in report.text
    marks = storage.coverage(entity_id=site, field="CONVERTER")
    assert marks
    assert all(mark["skipped"] and not mark["received"] for mark in marks)
    spans = [LoadedStreams(3600, date(2023, 6, 1), END, NOW)]
    assert compare_stem.streams(storage.lake, storage.fleet, spans).examples == []


def test_a_site_of_which_every_stream_asked_is_unavailable_is_no_failure(storage, monkeypatch):
    storage = storage(sites=3)
    storage.plan()
    stem, known = storage.fleet.stem, storage.fleet.stem.site
    monkeypatch.setattr(
        stem, "site", lambda name: replace(known(name), starts={"MONITOR": known(name).starts["MONITOR"]})
    )
    loaded = storage.run(stream_types=["INTERVAL_REVENUE"])
    assert loaded["skipped"] == {}
    assert len(loaded["skipped_fields"]) == 1
    assert storage.report().failure is None


def test_a_client_whose_sites_are_refused_is_named_and_asked_again(storage):
    storage = storage(sites=6)
    client = storage.fleet.stem.client_ids[0]
    storage.run()
    before = storage.rows()
    forget_listings(storage)
    storage.serve(faults=(Fault("forbidden", target=client),))
    loaded = storage.run()
    assert {ids(served) for served in storage.data_requests()} == set(
        storage.fleet.stem.client_site_ids(storage.fleet.stem.client_ids[1])
    )
    report = storage.report()
    assert f"the sites of its client {client!r} are refused" in report.text
    assert "refused 3 of 6" in report.failure
    assert storage.rows() == before
    assert loaded["counts"]["withdrawn"] == 0
    storage.serve(faults=())
    storage.run()
    assert len({ids(served) for served in storage.data_requests()}) == 6


def forget_listings(storage, days=1):
    """Let the lake's memory of listings be a day old."""
    table = storage.lake.open("coverage")
    table.update({"local_date": f"local_date - INTERVAL '{days} day'"}, predicate="granularity = ''")


def test_an_account_that_may_list_no_sites_is_told_so(storage):
    storage = storage(sites=6)
    storage.serve(faults=tuple(Fault("forbidden", target=name) for name in storage.fleet.stem.client_ids))
    with pytest.raises(NothingAllowedError, match="any of the 2 clients"):
        storage.plan()


def test_sites_that_are_no_longer_listed_keep_their_rows_and_are_not_asked_until_they_are_back(
    storage, monkeypatch
):
    storage = storage(sites=6)
    storage.run()
    before = storage.rows()
    gone = storage.fleet.stem.site_ids[2]
    listed = storage.fleet.stem.client_site_ids
    monkeypatch.setattr(storage.fleet.stem, "client_site_ids", lambda c: [s for s in listed(c) if s != gone])
    forget_listings(storage, 2)
    asked = len(storage.data_requests())
    storage.run()
    assert gone not in {ids(served) for served in storage.data_requests()[asked:]}
    assert storage.rows() == before
    assert gone in storage.lake.read("stem_sites").column("site_id").to_pylist()
    assert storage.plan(site_ids=[gone]).batches == []
    missing = f"the API no longer lists it: it was missing on {datetime.now(UTC).date()}"
    assert storage.staging.read_json("plan.json")["skipped"] == {gone: missing}
    monkeypatch.undo()
    forget_listings(storage)
    storage.run()
    assert gone in {ids(served) for served in storage.data_requests()}


def test_the_sites_of_a_client_that_is_no_longer_listed_are_not_asked(storage, monkeypatch):
    storage = storage(sites=6)
    storage.run()
    forget_listings(storage)
    asked = len(storage.data_requests())
    only = storage.fleet.stem.client_ids[:1]
    monkeypatch.setattr(type(storage.fleet.stem), "client_ids", property(lambda self: only))
    storage.run()
    assert {ids(served) for served in storage.data_requests()[asked:]} == set(
        storage.fleet.stem.client_site_ids(only[0])
    )
    assert len(storage.lake.read("stem_clients")) == 2


@pytest.mark.parametrize("wrong", [None, [1], " "])
@pytest.mark.parametrize("listing", ["/clients", "/sites"])
def test_lists_whose_ids_cannot_be_told_take_no_site_away(storage, monkeypatch, listing, wrong):
    storage = storage(sites=6)
    storage.run()
    before = storage.rows()
    forget_listings(storage)
    asked = len(storage.data_requests())
    application = storage.server.application
    plain = application.reply

    def reply(request, served, fault):
        made = plain(request, served, fault)
        if not request.path.endswith(listing):
            return made
        body = re.sub(r'"id":"[^"]*"', lambda _: f'"id":{json.dumps(wrong)}', made.body.decode())
        return replace(made, body=body.encode())

    monkeypatch.setattr(application, "reply", reply)
    storage.run()
    theirs = set(storage.fleet.stem.site_ids)
    assert {ids(served) for served in storage.data_requests()[asked:]} >= theirs
    assert {key: value for key, value in storage.rows().items() if key[0] in theirs} == before


def test_a_listed_client_under_another_s_id_takes_nothing_away(storage, monkeypatch, caplog):
    storage = storage(sites=6)
    storage.run()
    forget_listings(storage)
    application = storage.server.application
    plain = application.reply

    def reply(request, served, fault):
        made = plain(request, served, fault)
        if not request.path.endswith("/clients"):
            return made
        body = json.loads(made.body)
        first, *_, last = body["clients"]
        last["id"] = first["id"]
        return replace(made, body=json.dumps(body).encode())

    monkeypatch.setattr(application, "reply", reply)
    asked = len(storage.data_requests())
    storage.run()
    assert {ids(served) for served in storage.data_requests()[asked:]} >= set(storage.fleet.stem.site_ids)
    assert "answered twice" in caplog.text
    assert "no longer listed" not in caplog.text


def test_lists_are_asked_for_once_a_day(storage):
    storage = storage()
    storage.plan()
    listings = len(storage.server.log)
    storage.plan()
    assert len(storage.server.log) == listings == 3
    forget_listings(storage)
    storage.plan()
    assert len(storage.server.log) == 2 * listings


def test_chosen_sites_and_an_unknown_one(storage):
    storage = storage(sites=12)
    names = [name for name in storage.fleet.stem.site_ids if "/" in name or "ü" in name]
    storage.run(site_ids=names)
    assert {name for name, *_ in storage.rows()} == set(names)
    with pytest.raises(ParamError, match="there is no site 'white house'"):
        storage.plan(site_ids=["white house"])
    with pytest.raises(ParamError, match="MONITOR, CONVERTER, INTERVAL_REVENUE"):
        storage.plan(stream_types=["SOLAR"])


def test_plan_only_asks_for_the_lists_alone(storage):
    storage = storage()
    assert storage.plan(plan_only=True).batches == []
    report = storage.report()
    assert "6 requests for 6 entities" in report.text
    assert "plan_only" in report.text
    assert storage.data_requests() == []


FAULTS = "429=0.1 500=0.05 reset=0.05 empty=0.05 cut-off=0.05 garbled=0.05 not-json=0.05 429-retry-after=0.02"


def test_faults_cost_retries_and_no_row(storage):
    faults = tuple(map(Fault.parse, FAULTS.split()))
    storage = storage(sites=20, faults=faults, retry_after=1)
    storage.run()
    assert storage.differences() == []
    assert len(storage.server.log) > 20 + 3
    assert storage.report().failure is None


def test_turns_that_end_early_ask_for_nothing_twice_and_an_unfinished_batch_is_not_loaded(storage):
    storage = storage(sites=20, latency_ms=30)
    planned = storage.plan(seconds=0.05)
    with pytest.raises(IncompleteBatchError):
        storage.load()
    assert storage.lake.open(TABLE) is None
    assert storage.extract(planned, seconds=0.2) > 1
    storage.load()
    asked = [(served.path, served.query) for served in storage.data_requests()]
    assert len(asked) == len(set(asked)) == planned.requests == 20
    assert storage.differences() == []


def test_an_extract_that_is_killed_goes_on_from_its_parts(storage):
    class Dying(Streams):
        left = 7

        def rows(self, payload, request, end):
            self.left -= 1
            if self.left < 0:
                raise RetriableError("killed")
            return super().rows(payload, request, end)

    storage = storage(sites=20)
    planned = storage.plan(slots=1)
    with pytest.raises(RetriableError):
        storage.extract(planned, source=Dying())
    asked = len(storage.data_requests())
    storage.extract(planned)
    assert len(storage.data_requests()) - asked == 20 - 7
    storage.load()
    assert storage.differences() == []


def test_several_slots_give_several_batches_of_work_worth_it(storage):
    storage = storage(sites=230, latency_ms=110)
    assert len(storage.plan(slots=1).batches) == 1
    assert len(storage.plan(slots=4).batches) == 4


@pytest.mark.parametrize("shift", ["literal", "example", "none"])
def test_only_closed_intervals_are_loaded_and_none_is_taken_for_withdrawn_near_now(storage, shift):
    storage = storage(sites=4, now=None, stem_shift=shift)
    today = datetime.now(UTC).date()
    for _ in range(2):
        counts = storage.run(today, lookback_days=1)["counts"]
        assert counts["withdrawn"] == counts["changed"] == 0
    now = datetime.now(UTC)
    assert max(end for *_, end in storage.rows()) <= now
    spans = [LoadedStreams(900, today - timedelta(days=1), today + timedelta(days=1), now)]
    assert compare_stem.streams(storage.lake, storage.fleet, spans).examples == []
    for served in storage.data_requests():
        assert datetime.fromisoformat(dict(parse_qsl(served.query))["end_datetime"]) <= now


def test_rows_near_now_are_not_withdrawn_by_a_server_that_begins_to_shift(storage):
    storage = storage(sites=4, now=None, stem_shift="none")
    today = datetime.now(UTC).date()
    storage.run(today, lookback_days=1)
    before = storage.rows()
    storage.serve(stem_shift="literal")
    storage.run(today, lookback_days=1)
    after = storage.rows()
    assert {key: after[key] for key in before} == before


def test_a_scheduled_run_reaches_back_to_where_coverage_ends(storage):
    storage = storage(sites=3)
    storage.run(date(2025, 10, 5), scheduled=True)
    storage.run(DAY, scheduled=True)
    assert storage.differences(LoadedStreams(900, date(2025, 9, 28), END, NOW)) == []


def test_a_stream_that_begins_later_than_others_is_expected_from_its_begin_on(storage):
    storage = storage(sites=6)
    begin = min(
        storage.fleet.stem.site(name).starts["MONITOR"] for name in storage.fleet.stem.site_ids
    ).date()
    end = begin + timedelta(days=100)
    storage.run(start=begin, end=end)
    assert storage.differences(LoadedStreams(900, begin, end, NOW)) == []


def test_staged_answers_hold_several_streams_in_one_part(storage):
    storage = storage(sites=6)
    planned = storage.plan(slots=1)
    storage.extract(planned)
    (manifest,) = storage.staging.batch(0).manifests()
    assert {name for item in manifest["answered"] for name in item["fields"]} == set(STREAM_TYPES)
    assert json.dumps(manifest).count("kw_total_avg") == 0


def test_ids_that_climb_end_a_header_or_are_templates_are_names_like_any_others(
    storage, tmp_path, monkeypatch
):
    clients = ("../", "{{ conn.stem_default.password }}", "..%2F..%2F")
    sites = (
        "../../../../",
        "..%2f..%5c",
        "{% raw %}{{ 7 * 7 }} ",
        "a%0d%0aHost: elsewhere.example ",
        "?#&=;/./..//",
    )
    monkeypatch.setattr(stem_fleet, "CLIENT_PREFIXES", clients)
    monkeypatch.setattr(stem_fleet, "SITE_PREFIXES", sites)
    stem = storage(sites=len(sites))
    stem.run(lookback_days=1)
    assert stem.report().failure is None
    assert stem.differences(LoadedStreams(900, DAY - timedelta(days=1), DAY + timedelta(days=1), NOW)) == []
    asked = {served.path for served in stem.server.log}
    for path in asked:
        assert re.fullmatch(
            r"/api/v1/clients(/[A-Za-z0-9%._~-]+/sites)?|/api/v1/sites/[A-Za-z0-9%._~-]+/streams", path
        )
        assert unquote(path).startswith(("/api/v1/clients", "/api/v1/sites/")), path
    assert {unquote(path.split("/")[4]) for path in asked if "/streams" in path} == set(
        stem.fleet.stem.site_ids
    )
    tables = {path.relative_to(tmp_path).parts[1] for path in tmp_path.rglob("*") if path.is_file()}
    assert tables <= {*SPECS, "_staging"}
    folders = {path.name for path in tmp_path.rglob("*") if path.is_dir()}
    assert not [name for name in folders if not re.fullmatch(r"[A-Za-z0-9._=-]+", name)]
