from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from locus_stem.sandbox.fleet import Fleet

NOW = datetime(2025, 3, 1, 12, 7, tzinfo=UTC)
START, END = datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC)


@pytest.fixture
def fleet():
    return Fleet(now=NOW)


def values(fleet, stream_type, resolution=900, start=START, end=END, site=0):
    rows = fleet.truth_stem_streams(fleet.stem.site_ids[site], stream_type, resolution, start, end)
    return {row["end_datetime"]: row["kw_total_avg"] for row in rows}


def test_ids_are_names_that_need_encoding_and_lead_back_to_their_sites(fleet):
    ids = fleet.stem.site_ids
    assert [fleet.stem.site(name).id for name in ids] == ids
    assert any("/" in name for name in ids)
    assert any("%" in name for name in ids)
    assert any(not name.isascii() for name in ids)
    with pytest.raises(KeyError):
        fleet.stem.site("white_house_01")


def test_the_monitor_includes_the_battery(fleet):
    monitor, meter, battery = (values(fleet, name) for name in ("MONITOR", "INTERVAL_REVENUE", "CONVERTER"))
    both = [end for end in monitor if monitor[end] is not None and meter.get(end) is not None]
    assert all(meter[end] == pytest.approx(monitor[end] * 1.002, abs=1e-4) for end in both)
    known = [value for value in battery.values() if value is not None]
    assert min(known) < 0 < max(known)


def test_a_battery_discharges_less_than_it_charges(fleet):
    known = [value for value in values(fleet, "CONVERTER").values() if value is not None]
    assert 0 < -sum(value for value in known if value < 0) < sum(value for value in known if value > 0)


def test_a_longer_resolution_is_the_mean_of_what_is_known(fleet):
    quarters, hours = values(fleet, "MONITOR"), values(fleet, "MONITOR", 3600)
    for end, hour in hours.items():
        parts = [quarters.get(end - timedelta(minutes=15 * step)) for step in range(4)]
        known = [part for part in parts if part is not None]
        if known:
            assert hour == pytest.approx(sum(known) / len(known), abs=2e-5)
        else:
            assert hour is None


def test_some_rows_are_missing_and_some_are_null(fleet):
    found = values(fleet, "MONITOR", end=START + timedelta(days=120))
    assert len(found) < 120 * 96
    assert None in found.values()


def test_rows_begin_after_the_stream_starts_and_end_at_the_present(fleet):
    begun = fleet.stem.site(fleet.stem.site_ids[0]).starts["CONVERTER"]
    found = values(fleet, "CONVERTER", 3600, begun - timedelta(days=2), NOW + timedelta(days=2))
    assert min(found) > begun
    assert max(found) <= NOW


def test_a_revision_changes_the_streams_that_it_names_and_a_withdrawal_takes_rows_away(fleet):
    site = fleet.stem.site_ids[0]
    monitor, battery = values(fleet, "MONITOR"), values(fleet, "CONVERTER")
    day = START + timedelta(days=1)
    fleet.revise("stem_site", site, START, day, factor=2, fields=["MONITOR"])
    fleet.revise("stem_site", site, day, day + timedelta(hours=1), withdraw=True)
    revised = values(fleet, "MONITOR")
    assert monitor.keys() - revised.keys() <= {day + timedelta(minutes=15 * step) for step in range(1, 5)}
    assert day + timedelta(minutes=30) not in revised
    assert all(
        value is None or value == pytest.approx(monitor[end] * (2 if end <= day else 1), abs=2e-5)
        for end, value in revised.items()
    )
    assert {end: value for end, value in values(fleet, "CONVERTER").items() if end <= day} == {
        end: value for end, value in battery.items() if end <= day
    }


def test_a_stream_that_a_site_lacks_is_not_there(fleet):
    with pytest.raises(KeyError):
        fleet.stem.stream(fleet.stem.site_ids[1], "INTERVAL_REVENUE")
