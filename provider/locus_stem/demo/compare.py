"""Hold the lake's tables against what the sandbox holds, row for row and value for value."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from locus_stem.sandbox.truth import entity_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from locus_stem.sandbox.fleet import EntityType, Fleet
    from locus_stem.tables.lake import Lake


@dataclass(frozen=True, slots=True)
class Loaded:
    """A range that a run has loaded: local dates of each site, end exclusive.

    :param until: instant past which intervals were still open when they were asked for.
    """

    level: EntityType
    granularity: str
    start: date
    end: date
    until: datetime


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
        if len(self.examples) < 5:  # noqa: PLR2004
            self.examples.append(text)


def measurements(lake: Lake, fleet: Fleet, loaded: Iterable[Loaded]) -> list[Difference]:
    """Compare the measurement tables with the union of the ranges loaded."""
    due: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
    for span in loaded:
        mine = due.setdefault(f"locus_{span.level}_data", {})
        for entity_id, site_id in _entities(fleet, span.level):
            zone = ZoneInfo(fleet.zone(site_id))
            start, end = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (span.start, span.end))
            fields = measured(fleet, span.level, entity_id, span.granularity)
            if fields:
                for row in entity_rows(
                    fleet, span.level, entity_id, span.granularity, start, min(end, span.until), fields, {}
                ):
                    mine[entity_id, span.granularity, row["ts"]] = row
    return [_compare_measurements(lake, table, rows) for table, rows in due.items()]


def _compare_measurements(lake: Lake, table: str, due: Mapping[tuple[Any, ...], Mapping[str, Any]]) -> Difference:
    key = "site_id" if table == "locus_site_data" else "component_id"
    found = Difference(table, due=len(due))
    seen = set()
    for row in lake.read(table).to_pylist():
        found.rows += 1
        identity = row[key], row["granularity"], row["ts"]
        if identity in seen:
            found.note(f"{identity} stands twice")
        seen.add(identity)
        expected = due.get(identity)
        if expected is None:
            found.note(f"{identity} is not in the API")
            continue
        values = {name: value for name, value in row.items() if name not in NOT_FIELDS}
        wanted = {name: expected.get(name) for name in values}
        if values != wanted or not expected.keys() - {"ts"} <= values.keys():
            found.note(f"{identity}: {values} where the API has {dict(expected)}")
    for identity in due.keys() - seen:
        found.note(f"{identity} is missing")
    return found


NOT_FIELDS = {"site_id", "component_id", "granularity", "ts", "local_date", "month"}


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
        expected = {key if name == "id" else _snake(name): value for name, value in item.items() if name != "statusCode"}
        row = rows.pop(item["id"], {})
        if any(_folded(name, row.get(name)) != _folded(name, value) for name, value in expected.items()):
            found.note(f"{expected} is held as {row}")
    for identity in rows:
        found.note(f"{identity} is not in the API")
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
    for row in lake.read("locus_data_available", filters=[("entity_type", "in", ["site", "component"])]).to_pylist():
        found.rows += 1
        identity = row["entity_type"], row["entity_id"], row["short_name"]
        if due.pop(identity, None) != (row["source"], row["granularities"]):
            found.note(f"{identity} differs or is not in the API")
    for identity in due:
        found.note(f"{identity} is missing")
    return found


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


def _folded(name: str, value: Any) -> Any:
    """The sandbox spells some zones like America/Los_angeles; objects are held as they were answered."""
    return value.lower() if name == "location_timezone" and value else value


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
