"""Time zones of sites: canonical names and the first instant of a local day.

Locus writes zone names in any case (``America/Los_angeles``, reference page sites/get-site), and a site's
zone may be absent.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import TZPATH, ZoneInfo, available_timezones

from locus_stem.api.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["canonical_zone", "first_instant", "local_day", "site_zone", "site_zones", "with_one_name"]

_NOT_PLACES = frozenset({"localtime", "Factory", "posixrules"})  # the machine's own zone, and placeholders


@cache
def _by_lower_case() -> dict[str, str]:
    return {name.lower(): name for name in sorted(available_timezones() - _NOT_PLACES)}


def canonical_zone(name: str | None) -> str | None:
    """Return the IANA spelling of a zone name given in any case, or None if there is no such zone."""
    return _by_lower_case().get(name.strip().lower()) if isinstance(name, str) else None


@lru_cache(maxsize=200_000)
def first_instant(day: date, zone: str) -> datetime:
    """Return the UTC instant at which a local day starts.

    Midnight is taken with fold 0. Where clocks skip midnight that is the instant of the change, and for a day
    that a zone skipped (Pacific/Apia, 2011-12-30) it is the first instant of the day after.

    Raises ValueError for a day at the calendar's edge, where UTC has no such year.
    """
    try:
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{day} in {zone} is outside the calendar") from None


def local_day(instant: datetime, zone: str) -> date:
    """Return the last day that has started in the zone by this instant.

    It is the wall-clock date, except where clocks were set back over midnight (America/St_Johns until 2011):
    there the old date is shown again for some minutes after the new day has begun.
    """
    day = instant.astimezone(ZoneInfo(zone)).date()
    tomorrow = day + timedelta(days=1)
    return tomorrow if first_instant(tomorrow, zone) <= instant else day


def site_zone(site: Mapping[str, Any], client_tz: str | None) -> tuple[str, str | None]:
    """Return a site's zone and, where it isn't plainly known, a warning.

    :param site: a row of ``locus_sites`` (site_id, name, location_timezone)
    :param client_tz: the zone of the site's client, taken where the site has none
    """
    named = site.get("location_timezone")
    zone = canonical_zone(named)
    if zone is not None:
        return zone, None
    fallback = canonical_zone(client_tz)
    if fallback is not None and not named:
        return fallback, None
    who = f"site {site.get('site_id')}" + (f" ({shown(site['name'])})" if site.get("name") else "")
    what = f"has the unknown time zone {shown(named)!r}" if named else "has no time zone"
    if fallback is not None:
        return fallback, f"{who} {what}; its client's, {fallback}, is taken"
    also = f"unknown ({shown(client_tz)!r})" if client_tz else "absent"
    return "UTC", f"{who} {what} and its client's is {also}; UTC is taken, so its days are UTC days"


def site_zones(
    sites: Iterable[Mapping[str, Any]], clients: Iterable[Mapping[str, Any]]
) -> tuple[dict[int, str], list[str]]:
    """Return the zone of each site by its id, and the warnings.

    :param sites: rows of ``locus_sites`` (site_id, client_id, name, location_timezone)
    :param clients: rows of ``locus_clients`` (client_id, tz)
    """
    client_tz = {row["client_id"]: row.get("tz") for row in clients}
    zones: dict[int, str] = {}
    warnings = []
    for site in sites:
        zones[int(site["site_id"])], warning = site_zone(site, client_tz.get(site.get("client_id")))
        if warning:
            warnings.append(warning)
    return zones, warnings


def with_one_name(zones: Mapping[int, str]) -> dict[int, str]:
    """Call a zone that sites know by several names (US/Pacific, America/Los_Angeles) by one, which most of them use.

    :param zones: the zone of each site by its id
    """
    used = Counter(zones.values())
    chosen: dict[bytes, str] = {}
    for zone in sorted(used, key=lambda name: (-used[name], name)):
        chosen.setdefault(_rules(zone), zone)
    return {site_id: chosen[_rules(zone)] for site_id, zone in zones.items()}


@cache
def _rules(zone: str) -> bytes:
    """Return a zone's data, from where zoneinfo takes it: names of one zone are links to the same."""
    for folder in TZPATH:
        if (file := Path(folder, zone)).is_file():
            return file.read_bytes()
    return resources.files("tzdata").joinpath("zoneinfo", *zone.split("/")).read_bytes()
