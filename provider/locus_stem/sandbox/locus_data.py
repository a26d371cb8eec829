"""Locus data calls: their limits, their refusals and the writing of their rows (reference: data/*)."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from locus_stem.api.granularity import BULK_GRANULARITY, INTERVAL_GRANULARITIES, limit
from locus_stem.sandbox.bulk import bulk_columns
from locus_stem.sandbox.catalogue import BULK_SHORT_NAMES
from locus_stem.sandbox.grid import intervals, moment_of, other_offset, write
from locus_stem.sandbox.query import moment_in, parameters, zone_of
from locus_stem.sandbox.reply import Refusal, Reply
from locus_stem.sandbox.values import Rows, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from locus_stem.sandbox.fleet import Entity, Fleet
    from locus_stem.sandbox.options import Options
    from locus_stem.sandbox.query import Pairs

FROM_DAILY = ("daily", "monthly", "yearly")
_CLOCK = [f"T{minute // 60:02d}:{minute % 60:02d}:00" for minute in range(1440)]


def data(fleet: Fleet, options: Options, entity: Entity, pairs: Pairs) -> Reply:
    """Answer a site's or component's data."""
    granularity = dict(pairs).get("gran", "")
    latest = granularity == "latest" and entity.type == "component"
    modeled = {
        param: values
        for name in dict(pairs).get("fields", "").split(",")
        if name in entity.short_names
        for param, values in entity.short_names[name][0].parameters
    }
    times = ("start", "end")
    found = parameters(
        pairs,
        required=("fields", "tz", "gran", *(() if latest else times)),
        optional=(*modeled, *(times if latest else ())),
    )
    zone = zone_of(found)
    if granularity not in INTERVAL_GRANULARITIES and not latest:
        raise Refusal(400, f"Invalid gran: {granularity}")
    fields = _fields(entity, found["fields"], granularity)
    _check_field_parameters(options, found, modeled)
    if latest:
        return _latest(fleet, options, entity, fields, found, zone)
    start, end = _range(found, zone, granularity)
    if options.end == "inclusive":
        end += timedelta(seconds=1)
    asked = intervals(start, min(end, _horizon(fleet)), zone, granularity) if start < end else []
    rows = rows_of(fleet, entity, asked, fields, found)
    return answer(_written(options, entity.id, rows, fields, zone, granularity))


def _horizon(fleet: Fleet) -> datetime:
    """Beyond this no interval is looked at: the present, or (with rows for empty intervals) a far future."""
    return fleet.now() + timedelta(days=366 * 60 if fleet.gaps == "empty" else 1)


def _fields(entity: Entity, text: str, granularity: str) -> list[str]:
    names = text.split(",")
    for name in names:
        known = entity.short_names.get(name)
        if known is None:
            raise Refusal(400, f"Field not available: {name}")
        if granularity not in known[0].granularities:
            raise Refusal(400, f"Field {name} is not available at granularity {granularity}")
    if len(set(names)) < len(names):
        raise Refusal(400, f"Field given twice in fields: {text}")
    return names


def _check_field_parameters(
    options: Options, found: Mapping[str, str], modeled: Mapping[str, tuple[str, ...]]
) -> None:
    if options.field_parameters == "ignored":
        return
    for param, values in modeled.items():
        if param not in found:
            raise Refusal(400, f"Missing field parameter: {param}")
        if found[param] not in values:
            raise Refusal(400, f"Invalid {param}: {found[param]}. Expected one of {', '.join(values)}")


def _range(found: dict[str, str], zone: ZoneInfo, granularity: str) -> tuple[datetime, datetime]:
    start, end = moment_in(found, "start", zone), moment_in(found, "end", zone)
    elapsed = timedelta(seconds=end.timestamp() - start.timestamp())
    if elapsed < timedelta():
        raise Refusal(400, "end must not be before start")
    longest = limit(granularity)
    on_the_clock = end.replace(tzinfo=None) - start.replace(tzinfo=None)
    if longest is not None and max(elapsed, on_the_clock) >= longest:
        raise Refusal(400, f"Time period for granularity {granularity} must be less than {longest.days} days")
    return start, end


def _latest(
    fleet: Fleet,
    options: Options,
    entity: Entity,
    fields: Sequence[str],
    found: Mapping[str, str],
    zone: ZoneInfo,
) -> Reply:
    """Answer the newest minute that is over and has a value."""
    minute = int(fleet.now().timestamp() // 60) - 1
    if entity.after_minute is not None:
        minute = min(minute, entity.after_minute - 1)
    # A gap and a field's nulls are at most 30 slots together.
    for back in range(minute, minute - 31 * 15, -15):
        rows = rows_of(fleet, entity, [(back, back + 1)], fields, found)
        if any(values and values[0] is not None for values in rows.columns.values()):
            return answer(_written(options, entity.id, rows, fields, zone, "latest"))
    return answer(())


def answer(rows: Iterable[str]) -> Reply:
    """Put written rows into the answer's object."""
    return Reply(200, f'{{"statusCode":200,"data":[{",".join(rows)}]}}'.encode())


def _written(
    options: Options, entity_id: int, rows: Rows, fields: Sequence[str], zone: ZoneInfo, granularity: str
) -> Iterator[str]:
    """Write rows; a null is left out."""
    stamps = timestamps([first for first, _ in rows.intervals], zone, granularity, options)
    head = f'{{"id":{entity_id},"ts":"%s"'
    full = head + "".join(f',"{name}":%s' for name in fields) + "}"
    for row in zip(stamps, *rows.columns.values(), strict=True):
        if None in row:
            values = "".join(
                f',"{name}":{value}' for name, value in zip(fields, row[1:], strict=True) if value is not None
            )
            yield head % row[0] + values + "}"
        else:
            yield full % row


def timestamps(minutes: Sequence[int], zone: ZoneInfo, granularity: str, options: Options) -> list[str]:
    """Write interval starts."""
    suffix = options.utc_suffix or "+00:00"
    if granularity in FROM_DAILY and options.offset == "wrong":
        return [other_offset(moment_of(minute), zone) for minute in minutes]
    if zone.key == "UTC":
        return [_utc_day(minute // 1440) + _CLOCK[minute % 1440] + suffix for minute in minutes]
    return [write(moment_of(minute), zone, suffix) for minute in minutes]


@lru_cache(maxsize=4096)
def _utc_day(number: int) -> str:
    return moment_of(number * 1440).date().isoformat()


def bulk(fleet: Fleet, options: Options, pairs: Pairs) -> Reply:
    """Answer monthly data of all sites (reference: data/get-site-bulk-data)."""
    found = parameters(pairs, required=("fields", "start", "end", "tz", "gran"))
    zone = zone_of(found)
    if found["gran"] != BULK_GRANULARITY:
        raise Refusal(400, "Invalid gran: bulk data is available at monthly only")
    fields = found["fields"].split(",")
    for name in fields:
        if name not in BULK_SHORT_NAMES:
            raise Refusal(400, f"Field not available: {name}")
    if len(set(fields)) < len(fields):
        raise Refusal(400, f"Field given twice in fields: {found['fields']}")
    start, end = moment_in(found, "start", zone), moment_in(found, "end", zone)
    if end < start:
        raise Refusal(400, "end must not be before start")
    if end.replace(tzinfo=None) > _a_year_after(start.replace(tzinfo=None)):
        raise Refusal(400, "end can be a maximum of 1 year after start")
    months = intervals(start, min(end, fleet.now() + timedelta(days=1)), zone, "monthly")
    stamps = timestamps([first for first, _ in months], zone, "monthly", options)
    template = '{"id":%d,"ts":"%s"' + "".join(f',"{name}":%s' for name in fields) + "}"
    return answer(
        template % (site_id, stamp, *("null" if value is None else value for value in row))
        for site_id, stamp_indexes, columns in bulk_columns(fleet, months, fields)
        for stamp, row in zip(
            (stamps[index] for index in stamp_indexes), zip(*columns, strict=True), strict=True
        )
    )


def _a_year_after(start: datetime) -> datetime:
    try:
        return start.replace(year=start.year + 1)
    except ValueError:
        return start.replace(year=start.year + 1, month=3, day=1)
