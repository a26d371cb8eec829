"""The plan of ``locus_monthly_bulk``: one request for each distinct zone of the sites and 12 months.

Reference page data/get-site-bulk-data: all sites of a partner in one answer, months of one ``tz``, at most a year.
Sites lie in many zones, so that each zone is asked for its own months and only its own sites are kept.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from locus_stem.api.granularity import BULK_GRANULARITY, BULK_LIMIT_MONTHS
from locus_stem.planning.fields import AvailableField, FieldGroup, check_wanted
from locus_stem.planning.params import FIRST_DATE, LAST_DATE, ParamError, check_names, given, short_names
from locus_stem.planning.request import DataRequest
from locus_stem.planning.slices import month_slices, months_later
from locus_stem.planning.zones import site_zones, with_one_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

__all__ = ["MONTH", "ZONE", "BulkParams", "BulkPlan", "chosen_fields", "plan_bulk"]

#: The entity type of a bulk request.
ZONE = "zone"
#: What a month looks like.
MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"
NAMES = ("start_month", "end_month", "fields")


@dataclass(frozen=True, slots=True)
class BulkParams:
    """What a run of the bulk pipeline shall load.

    :param start: first day of the first month
    :param end: first day of the month after the last one
    :param fields: shortNames, or None for all that the partner's bulk ``dataavailable`` lists
    """

    start: date
    end: date
    fields: tuple[str, ...] | None = None

    @classmethod
    def from_raw(cls, raw: Mapping[str, Any], *, day: date) -> BulkParams:
        """Read raw DAG params; null months are the last one closed by a day and the 11 before it.

        ``start_month`` alone goes up to and with the last closed month.

        :param day: the UTC date as of which a month is closed
        :raises ParamError: for anything that is not allowed, a name that no param has included
        """
        check_names(raw, NAMES)
        start, end = _month("start_month", raw), _month("end_month", raw)
        current = day.replace(day=1)
        if end is not None and start is None:
            raise ParamError("end_month", raw["end_month"], "needs a start_month; give both, or neither")
        if start is None:
            start, end = months_later(current, -BULK_LIMIT_MONTHS), current
        elif end is None:
            if start >= current:
                last = months_later(current, -1)
                raise ParamError(
                    "start_month", raw["start_month"],
                    f"lies after the last closed month, {last:%Y-%m}; give an earlier one",
                )  # fmt: skip
            end = current
        elif start >= end:
            raise ParamError(
                "end_month", raw["end_month"],
                f"must be a month after start_month, {start:%Y-%m} (the end is exclusive)",
            )  # fmt: skip
        return cls(start, end, short_names(raw, "all that bulk data offers"))


@dataclass(frozen=True, slots=True)
class BulkPlan:
    """What to ask, and of which sites it is.

    :param requests: by zone, then time
    :param sites: the sites of each zone, which its answers are kept of
    :param notes: what a reader of the log should know: zones that had to be assumed, nothing closed yet
    """

    requests: tuple[DataRequest, ...]
    sites: dict[str, tuple[int, ...]]
    notes: tuple[str, ...]


def plan_bulk(
    params: BulkParams,
    *,
    sites: Iterable[Mapping[str, Any]],
    clients: Iterable[Mapping[str, Any]],
    fields: Sequence[str],
    now: datetime,
) -> BulkPlan:
    """Plan the bulk requests: for each zone, by whichever name, the fewest that hold its months.

    :param sites: rows of ``locus_sites`` (site_id, client_id, name, location_timezone, removed_on)
    :param clients: rows of ``locus_clients`` (client_id, tz)
    :param fields: shortNames to ask for; see :func:`chosen_fields`
    :param now: aware; months still open then are not asked
    """
    zones, notes = site_zones((site for site in sites if site.get("removed_on") is None), clients)
    by_zone: defaultdict[str, list[int]] = defaultdict(list)
    for site_id, zone in with_one_name(zones).items():
        by_zone[zone].append(site_id)
    if not by_zone:
        notes.append("there are no sites")
    group = FieldGroup(tuple(sorted(fields)))
    requests: list[DataRequest] = []
    for number, zone in enumerate(sorted(by_zone)):
        slices = month_slices(params.start, params.end, zone, BULK_LIMIT_MONTHS, now)
        if not slices:
            notes.append(f"no month of [{params.start:%Y-%m}, {params.end:%Y-%m}) has ended yet in {zone}")
        requests += [DataRequest(ZONE, number, 0, zone, BULK_GRANULARITY, time, group) for time in slices]
    kept = {zone: tuple(sorted(by_zone[zone])) for zone in sorted(by_zone)}
    return BulkPlan(tuple(requests), kept, tuple(notes))


def chosen_fields(available: Iterable[Mapping[str, Any]], wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    """Choose the fields to ask for: the wanted ones, or all that are listed, modeled and expected ones too.

    :param available: rows of ``locus_data_available`` of the partner
    :raises ParamError: a wanted field isn't listed, or none is
    """
    listed = [AvailableField.from_row(row) for row in available if row.get("short_name")]
    if wanted is not None:
        check_wanted(listed, BULK_GRANULARITY, wanted)
        return wanted
    names = {field.short_name for field in listed if BULK_GRANULARITY in field.granularities}
    if not names:
        raise ParamError("fields", None, "the API lists no field of bulk data for this partner")
    return tuple(sorted(names))


def _month(name: str, raw: Mapping[str, Any]) -> date | None:
    value = given(raw, name)
    if value is None:
        return None
    text = value.strip() if isinstance(value, str) and value.isascii() else ""
    well_formed = re.match(MONTH, text) and int(text[:4])
    month = date(int(text[:4]), int(text[5:]), 1) if well_formed else None
    if month is None or not FIRST_DATE <= month <= LAST_DATE:
        raise ParamError(
            name, value, f"a month YYYY-MM from {FIRST_DATE:%Y-%m} to {LAST_DATE:%Y-%m} is needed"
        )
    return month
