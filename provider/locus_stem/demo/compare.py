"""Hold the lake's tables against what the sandbox holds, row for row and value for value."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from locus_stem.sandbox.grid import intervals, moment_of
from locus_stem.sandbox.truth import entity_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from locus_stem.sandbox.fleet import EntityType, Fleet
    from locus_stem.tables.lake import Lake


@dataclass(frozen=True, slots=True)
class Loaded:
    """A range that a run has loaded: local dates of each site, end exclusive.

    :param until: instant past which intervals were still open when they were asked for.
    :param fields: that were asked for; None: all that are measured.
    """

    level: EntityType
    granularity: str
    start: date
    end: date
    until: datetime
    fields: tuple[str, ...] | None = None


@dataclass(slots=True)
class Difference:
    """How a table compares: rows held and due, and the first few differences in words."""

    table: str
    rows: int = 0
    due: int = 0
    differing: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Count one difference."""
        self.differing += 1
        if len(self.examples) < 5:
            self.examples.append(text)


def measurements(lake: Lake, fleet: Fleet, loaded: Iterable[Loaded]) -> list[Difference]:
    """Compare the measurement tables with the union of the ranges loaded."""
    due: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
    for span in loaded:
        mine = due.setdefault(f"locus_{span.level}_data", {})
        for entity_id, site_id in _entities(fleet, span.level):
            zone = ZoneInfo(fleet.zone(site_id))
            start, end = (
                datetime.combine(day, time(), zone).astimezone(UTC) for day in (span.start, span.end)
            )
            fields = _fields(fleet, entity_id, span)
            if fields:
                for row in _rows(fleet, entity_id, span, start, end, fields):
                    day = row["ts"].astimezone(zone).date()
                    stands = {"site_id": site_id, "local_date": day, "month": day.replace(day=1)}
                    mine[entity_id, span.granularity, row["ts"]] = {**row, **stands}
    return [_compare_measurements(lake, table, rows) for table, rows in due.items()]


def _compare_measurements(
    lake: Lake, table: str, due: Mapping[tuple[Any, ...], Mapping[str, Any]]
) -> Difference:
    key = "site_id" if table == "locus_site_data" else "component_id"
    found = Difference(table, due=len(due))
    rows = lake.read(table)
    fields = [name for name in rows.column_names if name not in NOT_FIELDS]
    known = {"ts", *fields, *STANDS}
    fields += [name for name in STANDS if name in rows.column_names]
    identities = zip(*(rows.column(name).to_pylist() for name in (key, "granularity", "ts")), strict=True)
    values = zip(*(rows.column(name).to_pylist() for name in fields), strict=True)
    seen = set()
    for identity, held in zip(identities, values, strict=True):
        found.rows += 1
        if identity in seen:
            found.note(f"{identity} stands twice")
        seen.add(identity)
        expected = due.get(identity)
        if expected is None:
            found.note(f"{identity} is not in the API")
        elif held != tuple(map(expected.get, fields)) or not expected.keys() <= known:
            found.note(
                f"{identity}: {dict(zip(fields, held, strict=True))} where the API has {dict(expected)}"
            )
    for identity in due.keys() - seen:
        found.note(f"{identity} is missing")
    return found


def bulk(
    lake: Lake,
    fleet: Fleet,
    spans: Iterable[tuple[date, date]],
    fields: Sequence[str],
    kept: tuple[Fleet, Collection[str]] | None = None,
) -> Difference:
    """Compare the months of bulk data with those of the spans [first month, month after the last).

    :param kept: fields that the last run was refused, and the fleet as it was when they were loaded.
    """
    due = _bulk_months(fleet, spans, fields)
    if kept is not None:
        for month, values in _bulk_months(kept[0], spans, list(kept[1])).items():
            due[month] |= values
    found = Difference("locus_bulk_monthly", due=len(due))
    for row in lake.read("locus_bulk_monthly").to_pylist():
        found.rows += 1
        identity = row.pop("site_id"), row.pop("month")
        expected = due.pop(identity, None)
        if row != expected:
            found.note(f"{identity}: {row} where the API has {expected}")
    for missing in due:
        found.note(f"{missing} is missing, or stands twice")
    return found


def bulk_coverage(
    lake: Lake,
    fleet: Fleet,
    spans: Iterable[tuple[date, date]],
    fields: Sequence[str],
    refused: Collection[str] = (),
) -> Difference:
    """Compare `coverage` of bulk data: each site's months and fields, and the sites that bulk data has nothing of.

    :param refused: fields that the last run was refused.
    """
    spans = list(spans)
    months = _bulk_months(fleet, spans, fields)
    having = {site_id for site_id, _ in months}
    due: dict[tuple[str, str, date], tuple[float, float, bool]] = {}
    for site_id, month in product(fleet.site_ids, {month for _, month in months}):
        row = months.get((site_id, month))  # None: the API has nothing of the site, or not yet
        for name in fields:
            value = row is not None and row[name] is not None
            null = row is not None and not value
            due[str(site_id), name, month] = (
                float(value),
                float(null),
                site_id not in having or name in refused,
            )
    found = Difference("coverage (bulk)", due=len(due))
    filters = [("source", "=", "locus_bulk_monthly"), ("granularity", "=", "monthly")]
    for row in lake.read("coverage", filters=filters).to_pylist():
        found.rows += 1
        held = row["received"], row["null_count"], row["skipped"] is not None
        expected = due.pop((row["entity_id"], row["field"], row["local_date"]), None)
        if held != expected or row["expected"] != 1:
            found.note(f"{row} where the API has {expected}")
    for missing in due:
        found.note(f"{missing} is missing, or stands twice")
    return found


def _bulk_months(
    fleet: Fleet, spans: Iterable[tuple[date, date]], fields: Sequence[str]
) -> dict[tuple[int, date], dict[str, Any]]:
    """Give what bulk data has of each site and month of its own zone."""
    due: dict[tuple[int, date], dict[str, Any]] = {}
    spans = list(spans)
    for name in {fleet.zone(site_id) for site_id in fleet.site_ids}:
        zone = ZoneInfo(name)
        for first, after in spans:
            start, end = (datetime.combine(day, time(), zone) for day in (first, after))
            for row in fleet.truth_bulk(start, end, name, fields):
                if fleet.zone(row["id"]) == name:
                    month = row["ts"].astimezone(zone).date()
                    due[row["id"], month] = {field: row[field] for field in fields}
    return due


#: Columns that tell where a row belongs.
STANDS = ("site_id", "local_date", "month")
NOT_FIELDS = {"component_id", "granularity", "ts", *STANDS}


def objects(lake: Lake, fleet: Fleet) -> list[Difference]:
    """Compare the tables of clients, sites and components."""
    held = {
        "locus_clients": ("client_id", [fleet.client_object(number) for number in fleet.client_ids]),
        "locus_sites": ("site_id", [fleet.site_object(number) for number in fleet.site_ids]),
        "locus_components": ("component_id", [fleet.component_object(c.id) for c in fleet.all_components()]),
    }
    return [_compare_objects(lake, table, key, due) for table, (key, due) in held.items()]


def _compare_objects(lake: Lake, table: str, key: str, due: list[dict[str, Any]]) -> Difference:
    found = Difference(table, due=len(due))
    rows = {row[key]: row for row in lake.read(table).to_pylist()}
    found.rows = len(rows)
    for item in due:
        expected = {
            key if name == "id" else _snake(name): value
            for name, value in item.items()
            if name != "statusCode"
        }
        row = rows.pop(item["id"], {})
        if any(
            _comparable(name, row.get(name)) != _comparable(name, value) for name, value in expected.items()
        ):
            found.note(f"{expected} is held as {row}")
    for identity in rows:
        found.note(f"{identity} is not in the API")
    return found


def details(lake: Lake, fleet: Fleet) -> list[Difference]:
    """Compare the tables of install info and model settings: a row for each site, with what the API says."""
    held = {
        "locus_install_info": [{"id": number, **fleet.install_info(number)} for number in fleet.site_ids],
        "locus_model_settings": [{"id": number, **fleet.model_settings(number)} for number in fleet.site_ids],
    }
    return [_compare_objects(lake, table, "site_id", due) for table, due in held.items()]


def coverage(
    lake: Lake,
    fleet: Fleet,
    loaded: Iterable[Loaded],
    is_skipped: Callable[[str, str], bool] | None = None,
) -> Difference:
    """Compare `coverage` day for day: intervals expected, values and nulls of each entity's fields.

    :param loaded: ranges of one granularity must not overlap.
    :param is_skipped: tells by the entity's id and the field's name whether the last run was refused it; None: nothing.
    """
    due: dict[tuple[str, str, str, str, date], list[float]] = {}
    for span in loaded:
        for entity_id, site_id in _entities(fleet, span.level):
            start, end = _window(fleet, site_id, span)
            fields = _fields(fleet, entity_id, span)
            if not fields:
                continue
            zone = fleet.zone(site_id)
            days = _intervals_by_day(start, end, zone, span.granularity)
            series = f"locus_{span.level}_data", span.granularity, str(entity_id)
            due |= {
                (*series, name, day): [float(number), 0.0, 0.0]
                for name in fields
                for day, number in days.items()
            }
            for row in _rows(fleet, entity_id, span, start, end, fields):
                day = row["ts"].astimezone(ZoneInfo(zone)).date()
                for name in fields:
                    due[*series, name, day][2 if row[name] is None else 1] += 1
    found = Difference("coverage", due=len(due))
    filters = [("granularity", "!=", ""), ("source", "in", ["locus_site_data", "locus_component_data"])]
    for row in lake.read("coverage", filters=filters).to_pylist():
        found.rows += 1
        key = row["source"], row["granularity"], row["entity_id"], row["field"], row["local_date"]
        held, counts = [row["expected"], row["received"], row["null_count"]], due.pop(key, None)
        skipped = is_skipped is not None and is_skipped(row["entity_id"], row["field"])
        if bool(row["skipped"]) != skipped:
            found.note(f"{row}")
        if held != counts:
            found.note(f"{key}: expected, values and nulls {held} where the API has {counts}")
    for key in due:
        found.note(f"{key} is missing, or stands twice")
    return found


@lru_cache(maxsize=256)
def _intervals_by_day(start: datetime, end: datetime, zone: str, granularity: str) -> Counter[date]:
    """Count the intervals that begin in [start, end), in UTC, by the date that they begin on in a zone."""
    local = ZoneInfo(zone)
    begun = (moment_of(minute) for minute, _ in intervals(start, end, local, granularity))
    return Counter(at.astimezone(local).date() for at in begun)


def runs(lake: Lake, requests: int) -> Difference:
    """Compare the requests in `runs` with those that the sandbox saw."""
    rows = lake.read("runs").to_pylist()
    found = Difference("runs", rows=len(rows), due=len(rows))
    counted = sum(row["requests"] for row in rows)
    if counted != requests:
        found.note(f"{counted:.0f} requests where the sandbox saw {requests}")
    return found


def available(lake: Lake, fleet: Fleet) -> Difference:
    """Compare the table of available data."""
    due = {
        (level, entity_id, aggregation["shortName"]): (item["source"], item["granularities"])
        for level in ("site", "component")
        for entity_id, _ in _entities(fleet, level)
        for item in fleet.data_available(level, entity_id)
        for aggregation in item.get("aggregations", ())
    }
    found = Difference("locus_data_available", due=len(due))
    for row in lake.read(
        "locus_data_available", filters=[("entity_type", "in", ["site", "component"])]
    ).to_pylist():
        found.rows += 1
        identity = row["entity_type"], row["entity_id"], row["short_name"]
        if due.pop(identity, None) != (row["source"], row["granularities"]):
            found.note(f"{identity} differs or is not in the API")
    for identity in due:
        found.note(f"{identity} is missing")
    return found


def _fields(fleet: Fleet, entity_id: int, span: Loaded) -> list[str]:
    """Name the fields of an entity that a range brings: those given, else the measured ones."""
    if span.fields is None:
        return measured(fleet, span.level, entity_id, span.granularity)
    return [
        name
        for name, (field, _) in fleet.entity(span.level, entity_id).short_names.items()
        if name in span.fields and span.granularity in field.granularities
    ]


def _rows(
    fleet: Fleet, entity_id: int, span: Loaded, start: datetime, end: datetime, fields: Sequence[str]
) -> list[dict[str, Any]]:
    """Give an entity's rows; modeled fields with the first value of each of their parameters."""
    known = fleet.entity(span.level, entity_id).short_names
    parameters = {param: values[0] for name in fields for param, values in known[name][0].parameters}
    return entity_rows(fleet, span.level, entity_id, span.granularity, start, end, fields, parameters)


def _window(fleet: Fleet, site_id: int, span: Loaded) -> tuple[datetime, datetime]:
    zone = ZoneInfo(fleet.zone(site_id))
    start, end = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (span.start, span.end))
    return start, min(end, span.until)


def measured(fleet: Fleet, level: EntityType, entity_id: int, granularity: str) -> list[str]:
    """Name the measured fields of an entity at a granularity."""
    return [
        aggregation["shortName"]
        for item in fleet.data_available(level, entity_id)
        if item["source"] == "Measured" and granularity in item["granularities"]
        for aggregation in item.get("aggregations", ())
    ]


def _entities(fleet: Fleet, level: EntityType) -> list[tuple[int, int]]:
    if level == "site":
        return [(site_id, site_id) for site_id in fleet.site_ids]
    return [
        (component.id, component.site.id)
        for component in fleet.all_components()
        if not fleet.component_object(component.id)["isConceptualNode"]
    ]


def _comparable(name: str, value: Any) -> Any:
    """Objects are held as they were answered: some zones spelled like America/Los_angeles, dates as dates."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return value.lower() if name == "location_timezone" and value else value


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
