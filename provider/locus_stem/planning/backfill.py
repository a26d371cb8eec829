"""The plan of ``locus_daily_backfill``: the fewest data requests that load what the params ask for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from locus_stem.planning.entities import ChosenEntities, Entity, Skipped, chosen_entities
from locus_stem.planning.fields import AvailableField, check_wanted, field_groups
from locus_stem.planning.request import DataRequest
from locus_stem.planning.slices import Slice, slices
from locus_stem.planning.zones import site_zones

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from locus_stem.planning.params import BackfillParams

__all__ = ["BackfillPlan", "DataRequest", "Entity", "Skipped", "chosen_entities", "plan_backfill"]


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """What to ask, and what is left out.

    :param requests: by entity, then time, then field group
    :param skipped: entities that aren't asked, with the reason
    :param notes: what a reader of the log should know: zones that had to be assumed, nothing closed yet
    """

    requests: tuple[DataRequest, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


def plan_backfill(
    params: BackfillParams,
    *,
    sites: Iterable[Mapping[str, Any]],
    components: Iterable[Mapping[str, Any]],
    clients: Iterable[Mapping[str, Any]],
    available: Iterable[Mapping[str, Any]],
    now: datetime,
    start_of: Callable[[int, Sequence[str], str], date] | None = None,
) -> BackfillPlan:
    """Plan the requests of a backfill.

    :param sites: rows of ``locus_sites`` (site_id, client_id, name, location_timezone, removed_on)
    :param components: rows of ``locus_components``; needed at level component only
    :param clients: rows of ``locus_clients`` (client_id, tz)
    :param available: rows of ``locus_data_available`` of the chosen entities at least
    :param now: aware; intervals still open then are not asked
    :param start_of: from an entity's id, fields and zone to its own first date, where some reach back further
    :raises ParamError: for unknown ids, and for fields that no chosen entity has at this granularity
    """
    sites = list(sites)
    chosen = chosen_entities(params, sites, components)
    fields = _fields_of(chosen, available)
    if chosen.entities:
        every = {field for listed in fields.values() for field in listed}
        check_wanted(every, params.granularity, params.fields)
    by_id = {int(row["site_id"]): row for row in sites}
    chosen_sites = sorted({entity.site_id for entity in chosen.entities})
    zones, notes = site_zones((by_id.get(site_id, {"site_id": site_id}) for site_id in chosen_sites), clients)
    cut: dict[tuple[str, date], list[Slice]] = {}
    requests: list[DataRequest] = []
    skipped = list(chosen.skipped)
    unclosed = 0
    for entity in chosen.entities:
        groups = field_groups(fields[entity], params.granularity, params.fields)
        if not groups:
            skipped.append(Skipped(entity, _why_none(fields[entity], params)))
            continue
        zone = zones[entity.site_id]
        names = [name for group in groups for name in group.fields]
        start = start_of(entity.entity_id, names, zone) if start_of else params.start
        if (zone, start) not in cut:
            cut[zone, start] = slices(start, params.end, zone, params.granularity, now)
        unclosed += not cut[zone, start]
        requests += [
            DataRequest(
                entity.entity_type, entity.entity_id, entity.site_id, zone, params.granularity, time, group
            )
            for time in cut[zone, start]
            for group in groups
        ]
    if unclosed:
        what = f"{params.granularity} interval in [{params.start}, {params.end})"
        notes.append(f"{unclosed} of {len(chosen.entities)} {params.level}s have no closed {what} yet")
    return BackfillPlan(tuple(requests), tuple(skipped), (*chosen.notes, *notes))


def _fields_of(
    chosen: ChosenEntities, available: Iterable[Mapping[str, Any]]
) -> dict[Entity, tuple[AvailableField, ...]]:
    """Return each chosen entity's fields; base fields without aggregations have no short name to ask for."""
    listed: defaultdict[tuple[str, int], list[AvailableField]] = defaultdict(list)
    wanted = {(entity.entity_type, entity.entity_id) for entity in chosen.entities}
    for row in available:
        key = (row["entity_type"], int(row["entity_id"]))
        if key in wanted and row.get("short_name"):
            listed[key].append(AvailableField.from_row(row))
    return {entity: tuple(listed[entity.entity_type, entity.entity_id]) for entity in chosen.entities}


def _why_none(fields: tuple[AvailableField, ...], params: BackfillParams) -> str:
    if not fields:
        return "dataavailable lists no field"
    which = "no Measured field" if params.fields is None else f"none of {', '.join(params.fields)}"
    return f"{which} at {params.granularity}"
