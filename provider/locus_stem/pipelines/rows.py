"""From a data answer to rows: pure, so that exactness is tested without a server."""

from __future__ import annotations

import logging
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from locus_stem.api.parameter import numeric_id
from locus_stem.api.shown import described
from locus_stem.planning.intervals import local_date
from locus_stem.planning.timestamps import interval_start_from_answer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from locus_stem.planning.backfill import DataRequest

log = logging.getLogger(__name__)

#: Rows that begin so long before or after what was asked for say that something else was answered.
FAR = {"monthly": timedelta(days=62), "yearly": timedelta(days=732)}
FAR_ELSE = timedelta(days=2)


class UnfitAnswerError(ValueError):
    """An answer that is well-formed JSON but holds what no data row can hold."""


def measurement_rows(
    answer: Sequence[Any], request: DataRequest, closed_end: datetime, *, anywhere: bool = False
) -> pa.Table:
    """Make the rows of one data answer: entity_id, ts (UTC), local_date, and a float64 column a field.

    Kept is what starts in ``[slice start, closed_end)``: the API's ``end`` may be inclusive, and an interval still
    open waits for the next run. A field left out of a row is null: neither zero nor missing.

    A number past float64 (1e400) is refused like NaN: null would say that the API has no value there.

    :param anywhere: rows may lie far outside of the slice, as in a user's own file.
    :raises UnfitAnswerError: a row is not an object, has no id, no readable ``ts`` or one far from what was asked for,
        or a value that is no finite number; or there are rows, and none is of this entity.
    """
    fields = request.group.fields
    far = FAR.get(request.granularity, FAR_ELSE)
    earliest, latest = request.slice.start - far, request.slice.end + far
    kept: dict[datetime, tuple[Any, ...]] = {}
    strangers = repeated = 0
    for row in answer:
        if not isinstance(row, dict):
            raise UnfitAnswerError(f"a data row is {type(row).__name__}, not an object")
        if not _is_id(row.get("id"), request.entity_id):
            if numeric_id(row.get("id")) is None:
                raise UnfitAnswerError("a data row's id is missing, or is none")  # it may be this entity's
            strangers += 1
            continue
        try:
            ts = interval_start_from_answer(row["ts"], request.zone, request.granularity)
        except (KeyError, TypeError, ValueError) as error:
            raise UnfitAnswerError(f"a data row's ts is not readable: {described(row.get('ts'))}") from error
        if not (anywhere or earliest <= ts <= latest):
            raise UnfitAnswerError(f"a data row's ts, {ts.isoformat()}, is far from what was asked for")
        if request.slice.start <= ts < closed_end:
            repeated += ts in kept
            kept[ts] = tuple(row.get(field) for field in fields)
    if strangers and strangers == len(answer):  # no row at all would withdraw every value
        raise UnfitAnswerError(f"all {strangers} data rows are of another id")
    if strangers:
        log.warning("%s: %d row(s) of another id were left out", request.title, strangers)
    if repeated:
        log.warning("%s: %d timestamp(s) came twice; the last row of each was kept", request.title, repeated)
    return _table(kept, fields, request)


def _is_id(value: object, entity_id: int) -> bool:
    return value == str(entity_id) or (type(value) is int and value == entity_id)


def _table(kept: dict[datetime, tuple[Any, ...]], fields: Sequence[str], request: DataRequest) -> pa.Table:
    columns = list(zip(*kept.values(), strict=True)) if kept else [()] * len(fields)
    arrays: dict[str, pa.Array] = {
        "entity_id": pa.array([request.entity_id] * len(kept), pa.int64()),
        "ts": pa.array(list(kept), pa.timestamp("us", tz="UTC")),
        "local_date": pa.array([local_date(ts, request.zone) for ts in kept], pa.date32()),
    }
    for field, values in zip(fields, columns, strict=True):
        arrays[field] = pa.array([number(value, field) for value in values], pa.float64())
    return pa.table(arrays)


def number(value: object, field: str) -> float | None:
    """Return a field's value.

    :raises UnfitAnswerError: it is no finite number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnfitAnswerError(f"field {field} holds {type(value).__name__}, not a number")
    try:
        converted = float(value)
    except OverflowError as error:
        raise UnfitAnswerError(f"field {field} holds a number past float64") from error
    if not math.isfinite(converted):
        raise UnfitAnswerError(f"field {field} holds {converted}")
    return converted
