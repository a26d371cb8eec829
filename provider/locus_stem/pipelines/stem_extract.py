"""Stem's streams as a source of requests: all streams of a site in one answer."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from locus_stem.api.errors import StemNoData, StemStreamUnavailable
from locus_stem.api.shown import described, shown
from locus_stem.api.stem import STREAM_TYPES, StemEndpoints
from locus_stem.pipelines.rows import FAR_ELSE, UnfitAnswerError, number
from locus_stem.planning.stem import reach
from locus_stem.planning.timestamps import parse_instant
from locus_stem.tables.asked import instant_of, micros
from locus_stem.tables.schemas import INSTANT
from locus_stem.tables.streams import LEAD, VALUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from locus_stem.api.endpoint import Call
    from locus_stem.api.errors import RefusedError
    from locus_stem.planning.request import DataRequest

log = logging.getLogger(__name__)

__all__ = ["Streams", "series_number"]


def series_number(site: int, stream_type: str) -> int:
    """Number a stream of the site that has this place in the plan."""
    return site * len(STREAM_TYPES) + STREAM_TYPES.index(stream_type)


class Streams:
    """Streams of one site a request."""

    def call(self, request: DataRequest) -> Call:
        """Prepare the call."""
        return StemEndpoints.get_site_streams.request(
            site_id=request.name,
            start=request.slice.query_start,
            end=request.slice.query_end,
            resolution=int(request.granularity),
            stream_type=request.group.fields,
        )

    def refused(self, request: DataRequest, error: RefusedError) -> tuple[str, ...] | None:
        """Tell which of the request's streams a refusal is about; no data is none of them."""
        if isinstance(error, StemNoData):
            return ()
        if isinstance(error, StemStreamUnavailable):
            named = error.stream_type
            return (named,) if named in request.group.fields else request.group.fields
        return None

    def rows(
        self, payload: Sequence[Any], request: DataRequest, end: datetime
    ) -> tuple[pa.Table, dict[str, Any]]:
        """Make the rows of the intervals that end in (slice start, end]: see ``locus_stem.tables.streams``.

        The answer is whole up to its last row at least, whichever way the API has shifted the end; what it lacks
        after that waits for the next run. Rows that don't end at a multiple of the resolution, to which the reference
        rounds, are no intervals of it: they are left out and counted, if the rest has a row for their interval.

        :return: besides the rows ``end``, up to where the answer is whole, and ``off_grid``, rows left out.
        :raises UnfitAnswerError: a stream or row is not an object, has no readable times, or holds no finite number;
            a stream that was asked for is lacking where another has no known name; rows off the grid stand alone.
        """
        step = int(request.granularity) * 1_000_000
        first, last, far = micros(request.slice.start), micros(end), FAR_ELSE // timedelta(microseconds=1)
        whole = micros(reach(request.slice, int(request.granularity)))
        series: list[int] = []
        starts: list[int] = []
        leads: list[int] = []
        values: list[float | None] = []
        off_grid = 0
        for stream_type, rows in _streams(payload, request):
            kept: dict[int, tuple[int, float | None]] = {}
            beside: set[int] = set()
            repeated = 0
            for row in rows:
                if not isinstance(row, dict):
                    raise UnfitAnswerError(f"a data row is {type(row).__name__}, not an object")
                ended = _instant(row, "end_datetime")
                lead = ended - _instant(row, "start_datetime")
                if not first - far <= ended <= last + far or not 0 <= lead <= 2 * step:
                    raise UnfitAnswerError(
                        f"a data row from {instant_of(ended - lead)} to {instant_of(ended)} is no interval of what was "
                        "asked for"
                    )
                if ended % step:
                    off_grid += 1
                    beside.add(ended - ended % step + step)
                    continue
                whole = max(whole, ended)
                if first < ended <= last:
                    repeated += ended in kept
                    kept[ended] = lead, number(row.get(VALUE), VALUE)
            if any(first < ended <= last for ended in beside - kept.keys()):
                raise UnfitAnswerError(f"rows of {stream_type} end off the grid of {request.granularity} s")
            if repeated:
                log.warning(
                    "%s: %d row(s) of %s came twice; the last was kept", request.title, repeated, stream_type
                )
            series += [series_number(request.entity_id, stream_type)] * len(kept)
            starts += [ended - step for ended in kept]
            leads += [lead for lead, _ in kept.values()]
            values += [value for _, value in kept.values()]
        if off_grid:
            log.warning("%s: %d row(s) that end off the grid were left out", request.title, off_grid)
        ts = pa.array(starts, pa.int64()).cast(INSTANT)
        table = pa.table(
            {
                "entity_id": pa.array(series, pa.int64()),
                "ts": ts,
                "local_date": ts.cast(pa.date32()),
                VALUE: pa.array(values, pa.float64()),
                LEAD: pa.array(leads, pa.int64()).cast(pa.float64()),
            }
        )
        until = end - timedelta(microseconds=max(0, last - whole))
        return table, {"end": until.isoformat(), **({"off_grid": off_grid} if off_grid else {})}


def _streams(payload: Sequence[Any], request: DataRequest) -> Iterable[tuple[str, Sequence[Any]]]:
    """Give the streams that were asked for; one that the answer lacks has no rows."""
    found: dict[str, Sequence[Any]] = {}
    nameless: list[Any] = []
    for stream in payload:
        name, rows = stream.get("stream_type"), stream.get("streams")
        if not isinstance(rows, list):
            raise UnfitAnswerError(f"the stream {_type(name)} has no list of rows")
        if name not in request.group.fields:
            log.warning("%s: the stream %s was not asked for and is left out", request.title, shown(name, 40))
            if name not in STREAM_TYPES:
                nameless.append(name)
            continue
        found[name] = [*found.get(name, ()), *rows]
    lacking = [name for name in request.group.fields if name not in found]
    if nameless and lacking:  # it may be one of them
        raise UnfitAnswerError(
            f"{', '.join(lacking)} is lacking, and the answer has a stream of the type {_type(nameless[0])}"
        )
    return found.items()


def _type(name: Any) -> str:
    return name if name in STREAM_TYPES else described(name)


def _instant(row: Mapping[str, Any], name: str) -> int:
    """Return a time of a row in microseconds; one without a zone is in UTC, as all of Stem's are."""
    try:
        return micros(parse_instant(row[name]))
    except (KeyError, TypeError, ValueError) as error:
        raise UnfitAnswerError(f"a data row's {name} is not readable: {described(row.get(name))}") from error
