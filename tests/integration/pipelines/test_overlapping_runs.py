"""Runs that overlap, over real sockets: what was asked last counts, though it was loaded first."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from locus_stem.demo.compare import Loaded, coverage
from locus_stem.pipelines.load import load_backfill
from locus_stem.tables.staging import BatchStaging
from support.plant import NOW

START, END = date(2025, 9, 20), date(2025, 10, 20)
FIRST = datetime(2023, 3, 1, tzinfo=UTC)


@pytest.fixture(params=["site", "component"])
def level(request):
    return request.param


def revise(made, level, first, after, **how):
    for entity_id, site_id in entities(made, level):
        zone = ZoneInfo(made.fleet.zone(site_id))
        start, end = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (first, after))
        end -= timedelta(hours=2)  # counters revised up to an instant change the interval after it too
        made.server.revise(level, entity_id, start, end, **how)


def entities(made, level):
    if level == "site":
        return [(site_id, site_id) for site_id in made.fleet.site_ids]
    return [(component.id, component.site.id) for component in made.fleet.all_components()]


def extracted(made, level, start, end):
    made.extract(made.plan(END, level=level, granularity="hourly", start=str(start), end=str(end)))
    return made.staging


def test_the_run_that_asked_first_and_loads_last_puts_no_revised_value_back(plant, level):
    made = plant(2)
    wide = extracted(made, level, START, END)
    middle = date(2025, 10, 1), date(2025, 10, 8)
    revise(made, level, *middle, factor=1.5)
    revise(made, level, middle[0], middle[0] + timedelta(days=2), withdraw=True)
    narrow = extracted(made, level, *middle)
    first = load_backfill(made.lake, narrow).to_json()
    last = load_backfill(made.lake, wide).to_json()
    span = Loaded(level, "hourly", START, END, NOW)
    assert made.differences(span) == []
    assert coverage(made.lake, made.fleet, [span]).examples == []
    assert first["notes"] == []
    assert "answers of which another run had loaded younger ones" in last["notes"][0]
    table = f"locus_{level}_data"
    before = made.lake.open(table).version(), made.lake.open("coverage").version()
    for staging in (narrow, wide, narrow):
        load_backfill(made.lake, staging)
    assert (made.lake.open(table).version(), made.lake.open("coverage").version()) == before


def overlapped(monkeypatch, extract, change):
    """Let a try write its first part after another one has begun behind it, asked everything and ended."""
    commit_part, late = BatchStaging.commit_part, []

    def succeeded_before(self, *part):
        if not late:
            late.append(part)
            change()
            extract()
        return commit_part(self, *part)

    with monkeypatch.context() as patched:
        patched.setattr(BatchStaging, "commit_part", succeeded_before)
        extract()


@pytest.mark.parametrize("gaps", ["missing", "empty"])
def test_a_try_that_was_thought_dead_and_writes_after_its_successor_puts_no_value_back(
    plant, level, monkeypatch, gaps
):
    made = plant(2, gaps=gaps)
    planned = made.plan(END, level=level, granularity="hourly", start=str(START), end=str(END))

    def change():
        revise(made, level, START, START + timedelta(days=5), factor=1.5)
        revise(made, level, START + timedelta(days=6), START + timedelta(days=8), withdraw=True)

    overlapped(monkeypatch, lambda: made.extract(planned), change)
    made.load()
    span = Loaded(level, "hourly", START, END, NOW)
    assert made.differences(span) == []
    assert coverage(made.lake, made.fleet, [span]).examples == []


def test_a_try_of_stem_that_was_thought_dead_puts_no_withdrawn_value_back(storage, monkeypatch):
    made = storage(sites=3)
    planned = made.plan()
    first, second, third = made.fleet.stem.site_ids

    def change():
        noon = datetime(2025, 10, 22, 12, tzinfo=UTC)
        made.server.revise("stem_site", first, noon, noon + timedelta(hours=3), withdraw=True)
        made.server.revise("stem_site", second, NOW - timedelta(days=30), NOW, withdraw=True)
        made.server.revise("stem_site", third, noon, noon + timedelta(hours=1), fields=["MONITOR"])

    overlapped(monkeypatch, lambda: made.extract(planned), change)
    made.load()
    assert made.differences() == []


def test_months_of_a_try_that_was_thought_dead_are_those_of_its_successor(bulk, monkeypatch):
    made = bulk(6)
    planned = made.plan()

    def change():
        for site_id in made.plant.fleet.site_ids:
            made.plant.server.revise("site", site_id, FIRST, FIRST + timedelta(days=90), factor=2.0)

    overlapped(monkeypatch, lambda: made.extract(planned), change)
    made.load()
    assert made.differences() == []


def test_an_entity_that_was_refused_later_keeps_its_values_and_its_mark_in_any_order(plant):
    made = plant(2)
    site_id = made.fleet.site_ids[0]
    granted = extracted(made, "site", START, END)
    made.forbid(site_id)
    refused = extracted(made, "site", START, END)
    load_backfill(made.lake, refused)
    load_backfill(made.lake, granted)
    assert made.differences(Loaded("site", "hourly", START, END, NOW)) == []
    filters = [("entity_id", "=", str(site_id)), ("source", "=", "locus_site_data")]
    rows = made.lake.read("coverage", filters=filters).to_pylist()
    assert len({row["local_date"] for row in rows}) == 30
    assert all("HTTP 403" in row["skipped"] or "403" in row["skipped"] for row in rows)
    assert sum(row["received"] for row in rows) > 0
