"""Waiting until measurements reach an instant. Reference: data/data, data/get-component-data, stem-data-api."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from locus_stem.api.errors import StemNoData, StemStreamUnavailable
from locus_stem.api.granularity import GRANULARITIES, INTERVAL_GRANULARITIES, is_below_daily
from locus_stem.api.locus import LocusEndpoints
from locus_stem.api.parameter import numeric_id
from locus_stem.api.stem import DEFAULT_RESOLUTION, RESOLUTIONS, STREAM_TYPES, StemEndpoints
from locus_stem.planning.intervals import ceil_to_grid, closed_end, interval_end
from locus_stem.planning.slices import slices
from locus_stem.planning.timestamps import interval_start_from_answer
from locus_stem.planning.zones import local_day, site_zone
from locus_stem.waits.available import required_names
from locus_stem.waits.instant import instant, surely_past, told, unreadable
from locus_stem.waits.wait import Found, Look, Wait, one_of_ids, text

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from locus_stem.api.answer import Answer
    from locus_stem.api.endpoint import Call

#: So much after the instant is asked for too: later values mean that measurements have passed it.
LATER = timedelta(hours=24)
DEFAULT_SITE_GRANULARITY = "hourly"
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataWait(Wait):
    """Until a site's or component's measurements reach an instant.

    :param until: it is reached once each field has a value in an interval that is over and ends there or later.
    :param granularity: ``latest`` takes a component's latest data point, which must begin there or later.
    """

    site_id: int | None
    component_id: int | None
    fields: tuple[str, ...]
    until: datetime
    granularity: str

    @classmethod
    def read(cls, **given: Any) -> Self:
        """Read settings."""
        entity = one_of_ids(
            allow_none=False, site_id=given.get("site_id"), component_id=given.get("component_id")
        )
        of_site = entity["site_id"] is not None
        default = DEFAULT_SITE_GRANULARITY if of_site else "latest"
        allowed = INTERVAL_GRANULARITIES if of_site else tuple(GRANULARITIES)
        return cls(
            **entity,
            fields=required_names("fields", given.get("fields")),
            until=instant("until", given.get("until")),
            granularity=text("granularity", given.get("granularity") or default, allowed),
        )

    def look(self, now: datetime) -> Look:
        """Ask for the interval that ends at the instant, or holds it, and a day more; not before it is over."""
        if now < self.until:
            return None
        if self.granularity == "latest":
            answer = yield self._call(tz="UTC")
            points = ((told(answer, row.get("ts")), row) for row in self._own(answer))
            return self._decided(answer, [(at, row) for at, row in points if at >= self.until])
        zone = "UTC" if is_below_daily(self.granularity) else (yield from self._zone())
        just_before = self.until - timedelta(microseconds=1)
        start = closed_end(just_before, zone, self.granularity, just_before)
        end = interval_end(start, zone, self.granularity)
        if now < end:
            return None
        answer = yield self._period(start, end, zone, now)
        over = closed_end(datetime.max.replace(tzinfo=UTC), zone, self.granularity, surely_past(answer))
        rows = ((self._starts(answer, row, zone), row) for row in self._own(answer))
        return self._decided(answer, [(at, row) for at, row in rows if start <= at < over])

    def _period(self, start: datetime, end: datetime, zone: str, now: datetime) -> Call:
        if is_below_daily(self.granularity):
            last = closed_end(end + LATER, zone, self.granularity, now) - _SECOND
            return self._call(start=_wall(start), end=_wall(last), tz=zone)
        after = local_day(end + LATER, zone)
        (asked,) = slices(local_day(start, zone), after, zone, self.granularity, now)
        return self._call(start=asked.query_start, end=asked.query_end, tz=asked.tz)

    def _call(self, **period: Any) -> Call:
        asked = {"fields": self.fields, "gran": self.granularity, **period}
        if self.site_id is not None:
            return LocusEndpoints.get_site_data.request(site_id=self.site_id, **asked)
        return LocusEndpoints.get_component_data.request(component_id=self.component_id, **asked)

    def _zone(self) -> Generator[Call, Answer, str]:
        """Ask for the zone of the site's days: its own, else its client's, else UTC."""
        site_id = self.site_id
        if site_id is None:
            answer = yield LocusEndpoints.get_component.request(component_id=self.component_id)
            site_id = _id(answer, "siteId")
        answer = yield LocusEndpoints.get_site.request(site_id=site_id)
        site = {"site_id": site_id, "location_timezone": answer.payload.get("locationTimezone")}
        if not site["location_timezone"] and answer.payload.get("clientId"):
            answer = yield LocusEndpoints.get_client.request(client_id=_id(answer, "clientId"))
            return site_zone(site, answer.payload.get("tz"))[0]
        return site_zone(site, None)[0]

    def _own(self, answer: Answer) -> Iterator[dict[str, Any]]:
        entity_id = str(self.component_id if self.site_id is None else self.site_id)
        for row in answer.payload:
            if numeric_id(row.get("id")) is None:
                raise unreadable(answer, "a data row's id", row.get("id"))
            if str(row["id"]) == entity_id:
                yield row

    def _starts(self, answer: Answer, row: dict[str, Any], zone: str) -> datetime:
        try:
            return interval_start_from_answer(row["ts"], zone, self.granularity)
        except (KeyError, TypeError, ValueError) as error:
            raise unreadable(answer, "a data row's ts", row.get("ts")) from error

    def _decided(self, answer: Answer, rows: list[tuple[datetime, dict[str, Any]]]) -> Found | None:
        found: dict[str, dict[str, Any]] = {}
        for at, row in sorted(rows, key=lambda pair: pair[0]):
            for field in self.fields:
                if field not in found and (value := _number(answer, field, row.get(field))) is not None:
                    found[field] = {"ts": at.isoformat(), "value": value}
        return Found(found) if len(found) == len(self.fields) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamWait(Wait):
    """Until a Stem stream reaches an instant.

    :param until: it is reached once an interval that is over and ends there or later has a value.
    :param resolution: length of the intervals in seconds.
    """

    site_id: str
    stream_type: str
    until: datetime
    resolution: int

    @classmethod
    def read(cls, **given: Any) -> Self:
        """Read settings."""
        resolution = str(given.get("resolution", DEFAULT_RESOLUTION))
        return cls(
            site_id=text("site_id", given.get("site_id")),
            stream_type=text("stream_type", given.get("stream_type", "MONITOR"), STREAM_TYPES),
            until=instant("until", given.get("until")),
            resolution=int(text("resolution", resolution, tuple(map(str, RESOLUTIONS)))),
        )

    def look(self, now: datetime) -> Look:
        """Ask for the interval and a day more, two resolutions wider on each side, never past now."""
        step = timedelta(seconds=self.resolution)
        first_end = ceil_to_grid(self.until, step)
        if now < first_end:
            return None
        start, end = first_end - 3 * step, min(first_end + LATER + 2 * step, now)
        call = StemEndpoints.get_site_streams.request(
            site_id=self.site_id,
            start=start,
            end=end.replace(microsecond=0),
            resolution=self.resolution,
            stream_type=(self.stream_type,),
        )
        try:
            answer = yield call
        except (StemNoData, StemStreamUnavailable):  # a stream that isn't there yet may begin
            return None
        rows = [
            (told(answer, row.get("end_datetime")), row.get("kw_total_avg"))
            for stream in answer.payload
            if stream.get("stream_type") == self.stream_type
            for row in _rows(answer, stream)
        ]
        past = surely_past(answer)
        for at, value in sorted(rows, key=lambda pair: pair[0]):
            measured = _number(answer, "kw_total_avg", value)
            if first_end <= at <= past and measured is not None:
                return Found({"end_datetime": at.isoformat(), "kw_total_avg": measured})
        return None


def _id(answer: Answer, key: str) -> int:
    given = answer.payload.get(key)
    if (found := numeric_id(given)) is None:
        raise unreadable(answer, key, given)
    return found


def _rows(answer: Answer, stream: dict[str, Any]) -> list[dict[str, Any]]:
    rows = stream.get("streams")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise unreadable(answer, "streams", rows)
    return rows


def _number(answer: Answer, field: str, value: Any) -> float | None:
    if value is None:
        return None
    # compared, since a whole number can be too long to be converted
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise unreadable(answer, f"field {field}", value)
    return value


def _wall(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}"
