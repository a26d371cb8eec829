"""What the API holds, asked without HTTP: the rows that a table must equal."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from locus_stem.sandbox.grid import MINUTES, intervals, moment_of, zone_info
from locus_stem.sandbox.values import rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    """Rows of intervals that begin in [start, end): below daily on UTC's grid, from daily up on the site's."""
    entity = fleet.entity(entity_type, entity_id)
    zone = zone_info("UTC" if granularity in MINUTES else entity.site.zone)
    assert zone is not None  # noqa: S101  # a site's zone is an IANA name
    rows = rows_of(fleet, entity, intervals(start, end, zone, granularity), fields, parameters)
    return [
        {"ts": moment_of(first), **dict(zip(fields, values, strict=True))}
        for (first, _), values in zip(rows.intervals, zip(*rows.columns.values(), strict=True), strict=True)
    ]
