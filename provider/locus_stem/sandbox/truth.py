"""What the API holds, asked without HTTP: the rows that a table must equal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from locus_stem.sandbox.alerts import alerts_of, shown_values
from locus_stem.sandbox.bulk import bulk_columns
from locus_stem.sandbox.grid import MINUTES, intervals, moment_of, zone_info
from locus_stem.sandbox.values import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from locus_stem.sandbox.fleet import EntityType, Fleet

Row = dict[str, Any]


def entity_rows(
    fleet: Fleet,
    entity_type: EntityType,
    entity_id: int,
    granularity: str,
    start: datetime,
    end: datetime,
    fields: Sequence[str],
    parameters: Mapping[str, str],
) -> list[Row]:
    """Rows of intervals that begin in [start, end): from daily up on the site's grid, else on UTC's."""
    entity = fleet.entity(entity_type, entity_id)
    zone = zone_info("UTC" if granularity in MINUTES else entity.site.zone)
    assert zone is not None  # noqa: S101  # a site's zone is an IANA name
    rows = rows_of(fleet, entity, intervals(start, end, zone, granularity), fields, parameters)
    return [
        {"ts": moment_of(first), **dict(zip(fields, values, strict=True))}
        for (first, _), values in zip(rows.intervals, zip(*rows.columns.values(), strict=True), strict=True)
    ]


def bulk_rows(
    fleet: Fleet, start: datetime, end: datetime, zone_name: str, fields: Sequence[str]
) -> list[Row]:
    """Rows of bulk data, months of the zone that begin in [start, end) and have begun."""
    zone = zone_info(zone_name)
    if zone is None:
        raise ValueError(f"{zone_name!r} is no IANA zone")
    months = intervals(start, min(end, fleet.now()), zone, "monthly")
    return [
        {"id": site_id, "ts": moment_of(months[index][0]), **dict(zip(fields, values, strict=True))}
        for site_id, indexes, columns in bulk_columns(fleet, months, fields)
        for index, values in zip(indexes, zip(*columns, strict=True), strict=True)
    ]


def alert_objects(fleet: Fleet, component_ids: Iterable[int] | None) -> list[dict[str, Any]]:
    """Alerts of some components as they stand now."""
    components = fleet.all_components() if component_ids is None else map(fleet.component, component_ids)
    return [
        shown_values(fleet, alert)
        for component in components
        for alert in alerts_of(component, fleet.now(), fleet.seed)
    ]


def stem_rows(
    fleet: Fleet, site_id: str, stream_type: str, resolution: int, start: datetime, end: datetime
) -> list[Row]:
    """Rows of a Stem stream with start < end_datetime <= end."""
    first, last = int(start.timestamp()) + 1, int(end.timestamp())
    return [
        {
            "start_datetime": datetime.fromtimestamp(end_second, UTC) - timedelta(seconds=resolution - 1),
            "end_datetime": datetime.fromtimestamp(end_second, UTC),
            "kw_total_avg": value,
        }
        for end_second, value in fleet.stem.rows(site_id, stream_type, resolution, first, last)
    ]
