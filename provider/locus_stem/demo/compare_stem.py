"""Hold Stem's tables in the lake against what the sandbox holds, row for row and value for value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from locus_stem.demo.compare import Difference
from locus_stem.tables.schemas import snake_case

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from locus_stem.sandbox.fleet import Fleet
    from locus_stem.tables.lake import Lake

#: What was asked past the end of a range at least, in resolutions; so many before now may still wait.
MARGIN = 2

#: Site, stream, resolution, and the end in seconds since 1970.
Key = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class LoadedStreams:
    """A range that a run has loaded: UTC dates, end exclusive.

    :param until: when it was asked for; what ended in the last two resolutions before need not be there.
    :param stream_types: or None for all.
    :param site_ids: or None for all.
    """

    resolution: int
    start: date
    end: date
    until: datetime
    stream_types: tuple[str, ...] | None = None
    site_ids: tuple[str, ...] | None = None

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The instants between which intervals lie."""
        start, end = (datetime.combine(day, time(), UTC) for day in (self.start, self.end))
        return start, min(end, self.until)

    @property
    def sure(self) -> datetime:
        """The instant up to which everything is due."""
        step = timedelta(seconds=self.resolution)
        return min(self.span[1], self.until - (MARGIN + 1) * step)

    def series(self, fleet: Fleet) -> Iterator[tuple[str, str]]:
        """Go through the sites and their streams."""
        for site_id in fleet.stem.site_ids if self.site_ids is None else self.site_ids:
            for stream_type in fleet.stem.site(site_id).starts:
                if self.stream_types is None or stream_type in self.stream_types:
                    yield site_id, stream_type


def objects(lake: Lake, fleet: Fleet) -> list[Difference]:
    """Compare the tables of clients and sites, links apart."""
    stem = fleet.stem
    clients = {one: _shown(stem.client_object(one, "")) for one in stem.client_ids}
    sites = {}
    for client_id in stem.client_ids:
        for site_id in stem.client_site_ids(client_id):
            sites[site_id] = {"client_id": client_id, **_shown(stem.site_object(site_id, ""))}
    return [
        _compare(lake, "stem_clients", "client_id", clients),
        _compare(lake, "stem_sites", "site_id", sites),
    ]


def _shown(one: dict[str, Any]) -> dict[str, Any]:
    """Name an object's values as the table's columns; nested ones are text there."""
    return {
        snake_case(name): json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
        for name, value in one.items()
        if name not in {"id", "link"}
    }


def _compare(lake: Lake, table: str, key: str, due: dict[str, dict[str, Any]]) -> Difference:
    found, left = Difference(table, due=len(due)), dict(due)
    for row in lake.read(table).to_pylist():
        found.rows += 1
        expected = left.pop(row[key], None)
        if expected is None or not row["link"] or {name: row.get(name) for name in expected} != expected:
            found.note(f"{row} where the API has {expected}")
    for identity in left:
        found.note(f"{identity!r} is missing")
    return found


def streams(lake: Lake, fleet: Fleet, loaded: Iterable[LoadedStreams]) -> Difference:
    """Compare the table of streams with the union of the ranges loaded."""
    due: dict[Key, tuple[int, float | None]] = {}
    open_still: set[Key] = set()
    for one in loaded:
        sure = one.sure
        for site_id, stream_type in one.series(fleet):
            for row in fleet.truth_stem_streams(site_id, stream_type, one.resolution, *one.span):
                started, ended = (_seconds(row[name]) for name in ("start_datetime", "end_datetime"))
                key = site_id, stream_type, one.resolution, ended
                due[key] = started, row["kw_total_avg"]
                if row["end_datetime"] > sure:
                    open_still.add(key)
    found = Difference("stem_streams", due=len(due))
    seen: set[Key] = set()
    for site_id, stream_type, resolution, ended, started, value, month in _rows(lake):
        found.rows += 1
        key = site_id, stream_type, int(resolution), ended
        if key in seen:
            found.note(f"{key} stands twice")
        seen.add(key)
        if due.get(key) != (started, value):
            found.note(f"{key}: {started, value} where the API has {due.get(key)}")
        if month != datetime.fromtimestamp(ended - resolution, UTC).date().replace(day=1):
            found.note(f"{key} stands in the month {month}")
    for key in due.keys() - seen - open_still:
        found.note(f"{key} is missing")
    found.due -= len(open_still - seen)
    return found


def _rows(lake: Lake) -> Iterator[tuple[Any, ...]]:
    """Go through the table; instants are seconds since 1970, of which datetimes would take half a minute a million."""
    columns = [
        "site_id",
        "stream_type",
        "resolution",
        "end_datetime",
        "start_datetime",
        "kw_total_avg",
        "month",
    ]
    rows = lake.read("stem_streams", columns)
    for name in ("end_datetime", "start_datetime"):
        seconds = pc.divide(rows.column(name).cast("int64"), 1_000_000)
        rows = rows.set_column(rows.column_names.index(name), name, seconds)
    for batch in rows.to_batches(max_chunksize=100_000):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def coverage(
    lake: Lake, fleet: Fleet, loaded: Iterable[LoadedStreams], refused: Collection[str] = ()
) -> Difference:
    """Compare `coverage` day for day: intervals expected, values and nulls; ranges must not overlap.

    :param refused: sites that the last run was refused.
    """
    due: dict[tuple[str, str, str, date], list[float]] = {}
    open_days: set[date] = set()
    for one in loaded:
        step = timedelta(seconds=one.resolution)
        if one.sure < one.span[1]:
            open_days |= {(one.sure - step).date(), one.sure.date(), one.span[1].date()}
        for site_id, stream_type in one.series(fleet):
            start, end = one.span
            begun = max(start, fleet.stem.site(site_id).starts[stream_type])
            series = site_id, stream_type, str(one.resolution)
            while begun + step <= end:
                midnight = datetime.combine(begun.date() + timedelta(days=1), time(), UTC)
                due[*series, begun.date()] = [float((min(midnight, end) - begun) // step), 0.0, 0.0]
                begun = midnight
            for row in fleet.truth_stem_streams(site_id, stream_type, one.resolution, start, end):
                of_day = due[*series, (row["end_datetime"] - step).date()]
                of_day[1 if row["kw_total_avg"] is not None else 2] += 1
    found = Difference("coverage of stem_streams", due=len(due))
    for row in lake.read("coverage", filters=[("source", "=", "stem_streams")]).to_pylist():
        found.rows += 1
        key = row["entity_id"], row["field"], row["granularity"], row["local_date"]
        counts = due.pop(key, None)
        held = [row["expected"], row["received"], row["null_count"]]
        if bool(row["skipped"]) != (row["entity_id"] in refused) or row["entity_type"] != "site":
            found.note(f"{row}")
        if held != counts and row["local_date"] not in open_days:
            found.note(f"{key}: expected, values and nulls {held} where the API has {counts}")
    for key in due:
        if key[3] not in open_days:
            found.note(f"{key} is missing")
    return found
