"""The plan of ``stem_daily_backfill``: one request for a site and up to 365 days, all its streams in it.

Reference page stem-data-api. Start and end are rounded to the resolution and shifted by one, in its text otherwise
than in its example: so two resolutions more are asked on each side, never past now and never from before the site's
streams begin, and of the answer ``start < end_datetime <= end`` is kept.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from locus_stem.api.shown import shown
from locus_stem.api.stem import DEFAULT_RESOLUTION, RESOLUTIONS, STREAM_TYPES, STREAMS_LIMIT
from locus_stem.planning.entities import check_known
from locus_stem.planning.fields import FieldGroup
from locus_stem.planning.intervals import closed_end, floor_to_grid
from locus_stem.planning.params import ParamError, check_names, date_range, flag, given, listed, whole
from locus_stem.planning.request import DataRequest
from locus_stem.planning.slices import Slice
from locus_stem.planning.timestamps import parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

__all__ = ["SITE", "StreamParams", "StreamPlan", "plan_streams", "reach", "stream_slices"]

SITE = "site"
ZONE = "UTC"
NAMES = ("start", "end", "stream_types", "resolution", "site_ids", "lookback_days", "plan_only")
#: Resolutions that are asked more on each side.
MARGIN = 2
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StreamParams:
    """What a run shall load.

    :param start: first UTC date
    :param end: the UTC date after the last one
    :param stream_types: or None for all that a site has
    :param resolution: seconds
    :param site_ids: names of sites, or None for all
    :param plan_only: log the plan and end
    """

    start: date
    end: date
    stream_types: tuple[str, ...] | None = None
    resolution: int = DEFAULT_RESOLUTION
    site_ids: tuple[str, ...] | None = None
    plan_only: bool = False

    @classmethod
    def from_raw(
        cls, raw: Mapping[str, Any], *, day: date, last_covered: date | None, scheduled: bool
    ) -> StreamParams:
        """Read raw DAG params; the dates follow the rules of ``BackfillParams.from_raw``, in UTC.

        :raises ParamError: for anything that is not allowed, a name that no param has included
        """
        check_names(raw, NAMES)
        resolution = _resolution(raw)
        start, end = date_range(raw, day, last_covered if scheduled else None, str(resolution))
        return cls(
            start=start,
            end=end,
            stream_types=_stream_types(raw),
            resolution=resolution,
            site_ids=_site_ids(raw),
            plan_only=flag("plan_only", raw),
        )


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What to ask, and what is left out.

    :param requests: by site, then time
    :param starts: since when each site asked has its streams, the first instant of an interval; one that the site
        list doesn't date is not in it
    :param skipped: sites that aren't asked, with the reason
    :param refused: sites that the API refuses to list, with the reason
    :param notes: what a reader of the log should know
    """

    requests: tuple[DataRequest, ...]
    starts: dict[str, dict[str, datetime]]
    skipped: dict[str, str]
    refused: dict[str, str]
    notes: tuple[str, ...]


def plan_streams(
    params: StreamParams,
    *,
    sites: Iterable[Mapping[str, Any]],
    unlisted: Mapping[str, str],
    refused: Mapping[str, str],
    now: datetime,
    start_of: Callable[[str, Sequence[str], str], date] | None = None,
) -> StreamPlan:
    """Plan the requests: for each site the fewest that hold the range, from the begin of its first stream.

    A stream that a site lacks isn't asked for, nor is one in slices that end before it begins.

    :param sites: rows of ``stem_sites`` (site_id, stream_start_times)
    :param unlisted: sites that the API no longer lists, and why they aren't asked
    :param refused: sites that it refuses to list, and why
    :param now: aware; intervals still open then are not asked
    :param start_of: from a site, its stream types and their zone to its own first date, where some reach back further
    :raises ParamError: a site is not known
    """
    rows = {str(row["site_id"]): row for row in sites}
    chosen = sorted(rows) if params.site_ids is None else _known(params.site_ids, rows)
    asked = [site for site in chosen if site not in refused and site not in unlisted]
    skipped = {site: unlisted[site] for site in chosen if site in unlisted} if params.site_ids else {}
    starts: dict[str, dict[str, datetime]] = {}
    requests: list[DataRequest] = []
    strange: set[str] = set()
    lacking: Counter[str] = Counter()
    unclosed = 0
    for site in asked:
        streams = _streams(rows[site])
        strange |= streams.keys() - set(STREAM_TYPES)
        wanted = params.stream_types or STREAM_TYPES
        types = [name for name in STREAM_TYPES if name in streams and name in wanted]
        lacking.update(name for name in params.stream_types or () if name not in types)
        if not types:
            skipped[site] = f"the site has no stream {' or '.join(params.stream_types or ('at all',))}"
            continue
        starts[site] = {name: floor_to_grid(at, _step(params)) for name in types if (at := streams[name])}
        first = start_of(site, types, ZONE) if start_of else params.start
        mine = _requests(params, site, len(starts) - 1, types, starts[site], first, now)
        unclosed += not mine
        requests += mine
    notes = [] if rows else ["there are no sites"]
    notes += [f"{number} of {len(asked)} sites have no {name}" for name, number in lacking.items()]
    if strange:
        notes.append(
            f"streams that the reference doesn't name aren't asked for: {shown(', '.join(sorted(strange)))}"
        )
    if unclosed:
        what = f"interval of {params.resolution} s in [{params.start}, {params.end})"
        notes.append(f"{unclosed} of {len(asked)} sites have no closed {what}, or no stream that had begun")
    not_listed = {site: refused[site] for site in chosen if site in refused}
    return StreamPlan(tuple(requests), starts, skipped, not_listed, tuple(notes))


def _requests(
    params: StreamParams,
    site: str,
    place: int,
    types: Sequence[str],
    starts: Mapping[str, datetime],
    first: date,
    now: datetime,
) -> list[DataRequest]:
    begun = min(starts.get(name, NEVER) for name in types)
    requests = []
    for kept in stream_slices(first, params.end, params.resolution, now, begun):
        group = FieldGroup(tuple(name for name in types if starts.get(name, NEVER) < kept.end))
        requests.append(DataRequest(SITE, place, place, ZONE, str(params.resolution), kept, group, name=site))
    return requests


def stream_slices(
    start: date, end: date, resolution: int, now: datetime, begun: datetime = NEVER
) -> list[Slice]:
    """Cut the UTC dates [start, end) into the fewest slices, from where the first stream begins.

    :param begun: the first instant of an interval that can have a row
    :returns: of each slice ``start < end_datetime <= end`` is kept; none where no interval has ended by now
    """
    step = timedelta(seconds=resolution)
    at = max(datetime.combine(start, time(), UTC), begun)
    last = closed_end(datetime.combine(end, time(), UTC), ZONE, str(resolution), now)
    found = []
    while at < last:
        begin = max(at - MARGIN * step, begun)
        latest = begin + STREAMS_LIMIT
        whole_seconds = now.astimezone(UTC).replace(microsecond=0)
        query_end = min(last + MARGIN * step, whole_seconds)
        until = last if query_end <= latest else latest - MARGIN * step
        found.append(Slice(at, until, _text(begin), _text(min(query_end, latest)), ZONE))
        at = until
    return found


def reach(kept: Slice, resolution: int) -> datetime:
    """Return the instant up to which an answer holds all intervals, however start and end are shifted."""
    asked = datetime.fromisoformat(kept.query_end)
    step = timedelta(seconds=resolution)
    return min(kept.end, floor_to_grid(asked, step) - MARGIN * step)


def _streams(row: Mapping[str, Any]) -> dict[str, datetime | None]:
    """Return since when a site has each of its streams; without a list it may have any."""
    text = row.get("stream_start_times")
    try:
        starts = json.loads(text) if text else None
    except ValueError:  # too long to be stored whole
        starts = None
    if not isinstance(starts, dict):
        return dict.fromkeys(STREAM_TYPES)
    return {str(name): _instant(value) for name, value in starts.items()}


def _instant(value: Any) -> datetime | None:
    try:
        return parse_instant(value)
    except (TypeError, ValueError):
        return None


def _known(names: Sequence[str], rows: Mapping[str, Any]) -> list[str]:
    """Find the sites that are meant: by their names as they are given, else without the blanks around them."""
    meant = [name if name in rows else name.strip() for name in names]
    check_known("site_ids", meant, rows.keys())
    return sorted(set(meant))


def _stream_types(raw: Mapping[str, Any]) -> tuple[str, ...] | None:
    needed = (
        f"a list of stream types, of {', '.join(STREAM_TYPES)}, or null for all that a site has, is needed"
    )
    items = listed("stream_types", raw, needed)
    if items is None:
        return None
    names = [str(item).strip().upper() for item in items]
    for item, name in zip(items, names, strict=True):
        if name not in STREAM_TYPES:
            raise ParamError("stream_types", raw["stream_types"], f"{item!r} is no stream type; {needed}")
    return tuple(name for name in STREAM_TYPES if name in names)


def _site_ids(raw: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Read names, which may hold commas: a text has one a line."""
    needed = "a list of site ids (names), one a line, or null for all, is needed"
    items = listed("site_ids", raw, needed, "\n")
    for item in items or ():
        if isinstance(item, bool) or not isinstance(item, str | int):
            raise ParamError("site_ids", raw["site_ids"], f"{item!r} is not a name; {needed}")
    return None if items is None else tuple(dict.fromkeys(map(str, items)))


def _resolution(raw: Mapping[str, Any]) -> int:
    value = given(raw, "resolution")
    resolution = DEFAULT_RESOLUTION if value is None else whole(value)
    if resolution not in RESOLUTIONS:
        raise ParamError(
            "resolution", value, f"one of {', '.join(map(str, RESOLUTIONS))} (seconds) is needed"
        )
    return resolution


def _step(params: StreamParams) -> timedelta:
    return timedelta(seconds=params.resolution)


def _text(moment: datetime) -> str:
    return f"{moment.replace(tzinfo=None).isoformat()}Z"
