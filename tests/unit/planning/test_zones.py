from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.planning.zones import canonical_zone, first_instant, local_day, site_zone, with_one_name

ZONES = [
    "UTC",
    "America/Los_Angeles",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "America/Havana",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Asia/Gaza",
    "America/Scoresbysund",
    "Antarctica/Casey",
    "Africa/Casablanca",
]
SKIPPED = {("Pacific/Apia", date(2011, 12, 30)), ("Pacific/Kwajalein", date(1993, 8, 21))}
days = st.dates(date(1970, 1, 2), date(2100, 12, 31))


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("America/Los_angeles", "America/Los_Angeles"),
        ("US/Eastern", "US/Eastern"),
        (" utc ", "UTC"),
        ("Mars/Olympus", None),
        ("localtime", None),
        ("", None),
        (None, None),
    ],
)
def test_a_zone_is_found_in_any_case_and_only_if_it_exists(
    given_name: str | None, expected: str | None
) -> None:
    assert canonical_zone(given_name) == expected


@given(days, st.sampled_from(ZONES))
def test_the_first_instant_shows_the_day_and_the_second_before_shows_an_earlier_one(
    day: date, zone: str
) -> None:
    first = first_instant(day, zone)
    shown = first.astimezone(ZoneInfo(zone)).date()
    assert shown == (day + timedelta(days=1) if (zone, day) in SKIPPED else day)
    assert (first - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date() < day


@given(days, st.integers(1, 400), st.sampled_from(ZONES))
def test_first_instants_never_go_back(day: date, later: int, zone: str) -> None:
    assert first_instant(day, zone) <= first_instant(day + timedelta(days=later), zone)


@pytest.mark.parametrize(("zone", "day"), sorted(SKIPPED))
def test_a_skipped_day_starts_when_the_next_one_does(zone: str, day: date) -> None:
    assert first_instant(day, zone) == first_instant(day + timedelta(days=1), zone)
    assert first_instant(day, zone) - first_instant(day - timedelta(days=1), zone) == timedelta(days=1)


@pytest.mark.parametrize(
    ("day", "zone", "instant"),
    [
        (date(2018, 11, 4), "America/Sao_Paulo", "2018-11-04T03:00+00:00"),  # 00:00 became 01:00
        (date(2024, 11, 3), "America/Havana", "2024-11-03T04:00+00:00"),  # 00:00 twice, the first counts
        (date(2010, 11, 7), "America/St_Johns", "2010-11-07T02:30+00:00"),  # 00:01 became 23:01
        (date(2024, 3, 31), "Asia/Beirut", "2024-03-30T22:00+00:00"),
    ],
)
def test_midnights_at_a_clock_change(day: date, zone: str, instant: str) -> None:
    assert first_instant(day, zone) == datetime.fromisoformat(instant)


@given(
    st.datetimes(
        datetime.fromisoformat("1970-01-03"), datetime.fromisoformat("2100-01-01"), timezones=st.just(UTC)
    ),
    st.sampled_from(ZONES),
)
def test_the_local_day_is_the_last_that_has_started(instant: datetime, zone: str) -> None:
    day = local_day(instant, zone)
    assert first_instant(day, zone) <= instant < first_instant(day + timedelta(days=1), zone)


def test_a_day_begun_before_clocks_went_back_over_midnight_stays_the_local_day() -> None:
    shows_the_day_before = datetime(2010, 11, 7, 2, 45, tzinfo=UTC)
    assert shows_the_day_before.astimezone(ZoneInfo("America/St_Johns")).date() == date(2010, 11, 6)
    assert local_day(shows_the_day_before, "America/St_Johns") == date(2010, 11, 7)


def test_a_site_has_its_own_zone_in_its_canonical_spelling() -> None:
    assert site_zone({"site_id": 1, "location_timezone": "america/denver"}, "UTC") == ("America/Denver", None)


def test_a_site_without_a_zone_takes_its_clients_without_a_warning() -> None:
    assert site_zone({"site_id": 1, "location_timezone": None}, "us/eastern") == ("US/Eastern", None)


def test_a_site_with_an_unknown_zone_takes_its_clients_with_a_warning_that_names_both() -> None:
    zone, warning = site_zone(
        {"site_id": 7, "name": "Roof", "location_timezone": "Mars/Olympus"}, "US/Eastern"
    )
    assert zone == "US/Eastern"
    assert warning is not None
    assert all(part in warning for part in ("site 7 (Roof)", "Mars/Olympus", "US/Eastern"))


@pytest.mark.parametrize("client_tz", [None, "Nowhere/Town"])
def test_without_any_known_zone_the_site_is_in_utc_and_the_warning_names_it(client_tz: str | None) -> None:
    zone, warning = site_zone({"site_id": 7, "name": "Roof"}, client_tz)
    assert zone == "UTC"
    assert warning is not None
    assert "site 7 (Roof)" in warning
    assert "UTC" in warning


def test_a_day_at_the_calendars_edge_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="outside the calendar"):
        first_instant(date.min, "Asia/Tokyo")


def test_names_of_one_zone_become_the_one_that_most_sites_use() -> None:
    zones = {1: "US/Pacific", 2: "America/Los_Angeles", 3: "America/Los_Angeles", 4: "America/Phoenix"}
    assert with_one_name(zones) == {
        1: "America/Los_Angeles", 2: "America/Los_Angeles", 3: "America/Los_Angeles", 4: "America/Phoenix",
    }  # fmt: skip


@given(
    st.sets(st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"})), min_size=1),
    st.integers(0, 130 * 365 * 24).map(lambda hours: datetime.fromtimestamp(hours * 3600, UTC)),
)
def test_a_zone_by_another_name_has_the_same_clock_at_any_time(names: set[str], instant: datetime) -> None:
    chosen = with_one_name(dict(enumerate(sorted(names))))
    for number, name in enumerate(sorted(names)):
        assert instant.astimezone(ZoneInfo(name)).replace(tzinfo=None) == instant.astimezone(
            ZoneInfo(chosen[number])
        ).replace(tzinfo=None)
