"""Stem's clients, sites and streams: recorded building loads, and a battery that is simulated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from locus_stem.sandbox import unknown
from locus_stem.sandbox.entities import mix
from locus_stem.sandbox.recorded import hourly_load
from locus_stem.sandbox.series import Holes, Revision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SLOT = 900
SLOTS_A_DAY = 96
BUILDINGS = ("load1", "load2", "load5", "load8")
#: Ids are names, and names hold anything.
CLIENT_PREFIXES = ("sandbox_client_", "Sun & Storage/West ", "Zähler GmbH ")
SITE_PREFIXES = ("white_house_", "cold storage ", "plant/north/", "Lager Süd ", "50%_peak?#")
FOREIGN_CLIENT, FOREIGN_SITE = "foreign_client", "foreign_site"
_NUMBER = re.compile(r"\d+$", re.ASCII)
_CHARGING, _DISCHARGING = slice(4, 20), slice(68, 80)


@dataclass(frozen=True, slots=True)
class StemSite:
    """A site; ``starts`` tells since when it has each of its streams (UTC midnights)."""

    id: str
    number: int
    client_id: str
    starts: dict[str, datetime]

    @property
    def name(self) -> str:
        """Name as the API shows it."""
        return f"Storage Site {self.number + 1}"


@dataclass(frozen=True, slots=True)
class Stream:
    """Mean power in kW by 15-minute slot since the epoch.

    ``scale`` is kW for a recorded unit, ``battery_size`` kW; 1970 begins at the recorded hour ``hour_shift``.
    """

    site: StemSite
    stream_type: str
    seed: int
    hours: Sequence[int]
    hour_shift: int
    scale: float
    battery_size: float
    missing: Holes
    null: Holes
    revisions: tuple[Revision, ...]

    def day(self, number: int) -> tuple[list[float | None], list[bool]]:
        """Values of a UTC day's 96 slots, null as None, and whether each has a row."""
        battery = self._battery(number)
        if self.stream_type == "CONVERTER":
            power = battery
        else:
            # A third party's meter sees what Stem's sees, a little differently.
            factor = 1.002 if self.stream_type == "INTERVAL_REVENUE" else 1.0
            power = [
                (load + charge) * factor for load, charge in zip(self._load(number), battery, strict=True)
            ]
        values: list[float | None] = list(power)
        rows = [True] * SLOTS_A_DAY
        if self.null.on(number):
            values[self.null.first : self.null.after] = [None] * (self.null.after - self.null.first)
        if self.missing.on(number):
            rows[self.missing.first : self.missing.after] = [False] * (
                self.missing.after - self.missing.first
            )
        for revision in self.revisions:
            first = number * SLOTS_A_DAY
            for slot in range(max(0, revision.first - first), min(SLOTS_A_DAY, revision.after - first)):
                value = values[slot]
                if revision.permille is None:
                    rows[slot] = False
                elif value is not None:
                    values[slot] = value * revision.permille / 1000
        return values, rows

    def _load(self, number: int) -> list[float]:
        found: list[float] = []
        eighth = self.scale / 8
        for hour in range(24 * number + self.hour_shift, 24 * number + self.hour_shift + 24):
            before, value, after = (self.hours[(hour + step) % len(self.hours)] for step in (-1, 0, 1))
            slope = _slope(value - before, after - value)
            found += [eighth * (8 * value + slope * step) for step in (-3, -1, 1, 3)]
        return found

    def _battery(self, number: int) -> list[float]:
        """Charge in the night, discharge in the evening, some days more than others."""
        found = [0.0] * SLOTS_A_DAY
        begun = self.site.starts.get("CONVERTER")
        if begun is None or number * SLOTS_A_DAY * SLOT < begun.timestamp():
            return found
        strength = self.battery_size * (0.6 + mix(self.seed, 11, self.site.number, number) % 100 / 250)
        found[_CHARGING] = [strength] * (_CHARGING.stop - _CHARGING.start)
        found[_DISCHARGING] = [-1.1 * strength] * (_DISCHARGING.stop - _DISCHARGING.start)
        return found


def _slope(before: int, after: int) -> int:
    if before * after <= 0:
        return 0
    return min(before, after) if before > 0 else max(before, after)


class StemFleet:
    """Clients and sites of Stem; they are others than those of Locus."""

    def __init__(self, sites: int, seed: int, now: Callable[[], datetime], *, unknown: bool = False) -> None:
        self.sites = sites
        self.unknown = unknown
        self.seed = seed
        self.clients = min(sites, max(2, sites // 150))
        self.now = now
        self._revisions: dict[str, tuple[tuple[Revision, frozenset[str] | None], ...]] = {}

    # -- who is there

    def client_id(self, number: int) -> str:
        """Id of a client."""
        return f"{CLIENT_PREFIXES[number % len(CLIENT_PREFIXES)]}{number + 1}"

    def site_id(self, number: int) -> str:
        """Id of a site."""
        return f"{SITE_PREFIXES[number % len(SITE_PREFIXES)]}{number + 1}"

    @property
    def client_ids(self) -> list[str]:
        """Ids of all clients."""
        return [self.client_id(number) for number in range(self.clients)]

    @property
    def site_ids(self) -> list[str]:
        """Ids of all sites."""
        return [self.site_id(number) for number in range(self.sites)]

    def client_site_ids(self, client_id: str) -> list[str]:
        """Ids of a client's sites; KeyError where there is no such client."""
        first = self._number(client_id, self.clients, self.client_id)
        return [self.site_id(number) for number in range(first, self.sites, self.clients)]

    def site(self, site_id: str) -> StemSite:
        """Return a site; KeyError where there is none."""
        number = self._number(site_id, self.sites, self.site_id)
        begun = date(2021, 1, 1) + timedelta(days=mix(self.seed, 12, number) % 700)
        first = datetime(begun.year, begun.month, begun.day, tzinfo=UTC)
        starts = {"MONITOR": first}
        if number % 6 != 5:
            starts["CONVERTER"] = first + timedelta(days=14)
        if number % 3 == 0:
            starts["INTERVAL_REVENUE"] = first + timedelta(days=60)
        return StemSite(site_id, number, self.client_id(number % self.clients), starts)

    @staticmethod
    def _number(text: str, count: int, name_of: Callable[[int], str]) -> int:
        match = _NUMBER.search(text)
        number = int(match[0]) - 1 if match else -1
        if not 0 <= number < count or name_of(number) != text:
            raise KeyError(text)
        return number

    # -- streams

    def stream(self, site_id: str, stream_type: str) -> Stream:
        """Return a stream; KeyError where the site has none of that type."""
        site = self.site(site_id)
        if stream_type not in site.starts:
            raise KeyError(stream_type)
        kind = len(stream_type)
        bits = mix(self.seed, 10, site.number)
        quantum, hours = hourly_load(BUILDINGS[site.number % len(BUILDINGS)])
        scale = quantum * (0.8 + (bits % 100) / 40)
        return Stream(
            site=site,
            stream_type=stream_type,
            seed=self.seed,
            hours=hours,
            hour_shift=(bits >> 16) % 24,
            scale=scale,
            battery_size=scale * sum(hours) / len(hours) / 2,
            missing=self._holes(19, 13, site.number, kind),
            null=self._holes(29, 14, site.number, kind),
            revisions=tuple(
                revision
                for revision, types in self._revisions.get(site_id, ())
                if types is None or stream_type in types
            ),
        )

    def _holes(self, period: int, *key: int) -> Holes:
        bits = mix(self.seed, *key)
        first = (bits >> 16) % 80
        return Holes(period, bits % period, first, first + 1 + (bits >> 32) % 8)

    def rows(
        self, site_id: str, stream_type: str, resolution: int, first_end: int, last_end: int
    ) -> Iterator[tuple[int, float | None]]:
        """Go through the rows whose ends (epoch seconds) lie in [first_end, last_end], up to the present.

        Gives the end and the mean of the 15-minute slots that have a value, to a hundred-thousandth of a kW.
        """
        stream = self.stream(site_id, stream_type)
        slots = resolution // SLOT
        begun = int(stream.site.starts[stream_type].timestamp())
        end = max(-(-first_end // resolution), begun // resolution + 1) * resolution
        last_end = min(last_end, int(self.now().timestamp()))
        number = -1
        values: list[float | None] = []
        rows: list[bool] = []
        while end <= last_end:
            day, first = divmod(end // SLOT - slots, SLOTS_A_DAY)
            if day != number:
                number, (values, rows) = day, stream.day(day)
            if any(rows[first : first + slots]):
                held = [
                    value
                    for value, row in zip(
                        values[first : first + slots], rows[first : first + slots], strict=True
                    )
                    if row and value is not None
                ]
                yield end, round(sum(held) / len(held), 5) if held else None
            end += resolution

    def revise(
        self, site_id: str, start: datetime, end: datetime, permille: int | None, types: frozenset[str] | None
    ) -> None:
        """Multiply the values of some slots, or withdraw them."""
        unknown = sorted((types or frozenset()) - set(self.site(site_id).starts))
        if unknown:
            raise ValueError(f"Stem site {site_id} has no stream {', '.join(unknown)}")
        revision = Revision(int(start.timestamp()) // SLOT, -(-int(end.timestamp()) // SLOT), permille)
        self._revisions[site_id] = (*self._revisions.get(site_id, ()), (revision, types))

    def forget_revisions(self) -> None:
        """Go back to the values as they first were."""
        self._revisions.clear()

    # -- objects

    def client_object(self, client_id: str, link: str) -> dict[str, Any]:
        """Return a client object."""
        number = self._number(client_id, self.clients, self.client_id)
        found = {"id": client_id, "name": f"Storage Client {number + 1}", "link": link}
        return unknown.extended(found, number) if self.unknown else found

    def site_object(self, site_id: str, link: str) -> dict[str, Any]:
        """Return a site object."""
        site = self.site(site_id)
        starts = {stream_type: f"{start:%Y-%m-%dT%H:%M:%SZ}" for stream_type, start in site.starts.items()}
        found = {"id": site_id, "name": site.name, "link": link, "stream_start_times": starts}
        if self.unknown:
            starts[str(unknown.STREAM["stream_type"])] = "2024-01-01T00:00:00Z"
            return unknown.extended(found, site.number)
        return found
