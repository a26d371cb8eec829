"""Bulk data as a source of requests: all sites in one answer, of which a zone's own are kept."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from locus_stem.api.locus import LocusEndpoints
from locus_stem.api.parameter import numeric_id
from locus_stem.api.shown import described
from locus_stem.pipelines.extract import any_field
from locus_stem.pipelines.rows import FAR, UnfitAnswerError, number
from locus_stem.planning.intervals import local_date
from locus_stem.planning.timestamps import month_from_answer
from locus_stem.planning.zones import first_instant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from locus_stem.api.endpoint import Call
    from locus_stem.api.errors import RefusedError
    from locus_stem.planning.request import DataRequest

log = logging.getLogger(__name__)

#: So many ids that stand in no site list are told.
MOST_STRANGERS = 1000


class BulkMonths:
    """Months of all sites of a zone a request.

    :param partner_id: whose sites.
    :param sites: the sites of each zone, as the plan chose them.
    """

    def __init__(self, partner_id: int, sites: Mapping[str, Sequence[int]]) -> None:
        self._partner_id = partner_id
        self._sites = {zone: frozenset(mine) for zone, mine in sites.items()}
        self._known: frozenset[int] = frozenset().union(*self._sites.values())

    def call(self, request: DataRequest) -> Call:
        """Prepare the call."""
        return LocusEndpoints.get_site_bulk_data.request(
            partner_id=self._partner_id,
            fields=request.group.fields,
            start=request.slice.query_start,
            end=request.slice.query_end,
            tz=request.slice.tz,
            gran=request.granularity,
        )

    def rows(
        self, payload: Sequence[Any], request: DataRequest, end: datetime
    ) -> tuple[pa.Table, dict[str, Any]]:
        """Make the rows of the zone's sites: entity_id, ts (the month's first instant), local_date, fields.

        A row without a usable id can be any site's: where there are some, sites that lack a month are unfit.

        :return: besides the rows ``unfit``, sites whose rows can't be read (they have none here) and why, and
            ``strangers``, ids that stand in no site list.
        :raises UnfitAnswerError: a row is not an object; or there are rows, and none is of a site of the list.
        """
        mine = self._sites[request.zone]
        first, after = local_date(request.slice.start, request.zone), local_date(end, request.zone)
        earliest, latest = (
            first - FAR["monthly"],
            local_date(request.slice.end, request.zone) + FAR["monthly"],
        )
        kept: dict[tuple[int, date], tuple[float | None, ...]] = {}
        unfit: dict[str, str] = {}
        strangers: set[str] = set()
        nameless = known = repeated = 0
        for row in payload:
            if not isinstance(row, dict):
                raise UnfitAnswerError(f"a data row is {type(row).__name__}, not an object")
            site_id = numeric_id(row.get("id"))
            if site_id is None:
                nameless += 1
                continue
            known += site_id in self._known
            if site_id not in mine:
                if site_id not in self._known and len(strangers) < MOST_STRANGERS:
                    strangers.add(str(site_id))
                continue
            try:
                month = _month(row, earliest, latest)
                values = tuple(number(row.get(field), field) for field in request.group.fields)
            except UnfitAnswerError as error:
                unfit[str(site_id)] = f"unfit answer: {error}"
                continue
            if first <= month < after:
                repeated += (site_id, month) in kept
                kept[site_id, month] = values
        if payload and not known:  # no row at all would withdraw every value
            raise UnfitAnswerError(f"of {len(payload)} data rows none is of a site of the site list")
        if nameless:
            log.warning("%s: %d row(s) have no usable id", request.title, nameless)
            held = Counter(site for site, _ in kept)
            due = (after.year - first.year) * 12 + after.month - first.month
            lacking = "unfit answer: lacks a month, and of {} row(s) the id can't be read"
            unfit |= {str(site): lacking.format(nameless) for site in mine if held[site] < due} | unfit
        kept = {key: values for key, values in kept.items() if str(key[0]) not in unfit}
        if repeated:
            log.warning("%s: %d month(s) of a site came twice; the last was kept", request.title, repeated)
        remarks: dict[str, Any] = {"unfit": unfit} if unfit else {}
        if strangers:
            remarks["strangers"] = sorted(strangers)
        return _table(kept, request), remarks

    def refused(self, request: DataRequest, error: RefusedError) -> tuple[str, ...] | None:
        """Tell which of the request's fields a refusal is about."""
        return any_field(request, error)


def _month(row: Mapping[str, Any], earliest: date, latest: date) -> date:
    try:
        month = month_from_answer(row["ts"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnfitAnswerError(f"a data row's ts is not readable: {described(row.get('ts'))}") from error
    if not earliest <= month <= latest:
        raise UnfitAnswerError(f"the month {month:%Y-%m} is far from what was asked for")
    return month


def _table(kept: Mapping[tuple[int, date], tuple[float | None, ...]], request: DataRequest) -> pa.Table:
    fields = request.group.fields
    columns = list(zip(*kept.values(), strict=True)) if kept else [()] * len(fields)
    starts = [first_instant(month, request.zone) for _, month in kept]
    return pa.table(
        {
            "entity_id": pa.array([site_id for site_id, _ in kept], pa.int64()),
            "ts": pa.array(starts, pa.timestamp("us", tz="UTC")),
            "local_date": pa.array([month for _, month in kept], pa.date32()),
            **{name: pa.array(values, pa.float64()) for name, values in zip(fields, columns, strict=True)},
        }
    )
