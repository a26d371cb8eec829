"""Params of the backfills: from what a user typed to what is meant; those of ``locus_daily_backfill`` as a whole.

Values come from the UI's form, from the command line's JSON and from scripts, so a date may be a text, a date
or a datetime at midnight, and a list may be comma-separated text. Null stands for the default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from locus_stem.api.granularity import INTERVAL_GRANULARITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "BackfillParams",
    "ParamError",
    "check_names",
    "date_range",
    "flag",
    "given",
    "listed",
    "short_names",
    "whole",
]

FIRST_DATE, LAST_DATE = date(1970, 1, 1), date(2100, 12, 31)
LEVELS = ("site", "component")
DEFAULT_LOOKBACK_DAYS = 7
#: With the run's own day a range of 31 days: below daily that is still one request.
LONGEST_REACH_BACK = timedelta(days=30)
_DAY = timedelta(days=1)
_DATE_FIRST = re.compile(
    r"\d{4}-\d\d-\d\d(T|\s|$)"
)  # other ISO 8601 forms (20240105, weeks) are likelier typing errors
_NAMES = (
    "start",
    "end",
    "level",
    "granularity",
    "fields",
    "site_ids",
    "component_ids",
    "lookback_days",
    "plan_only",
)


class ParamError(ValueError):
    """A DAG param that can't be followed.

    :param param: the param's name
    :param value: what was given
    :param allowed: what is allowed, or what to do, as the end of a sentence
    """

    def __init__(self, param: str, value: object, allowed: str) -> None:
        super().__init__(f"param {param}={value!r}: {allowed}")
        self.param = param
        self.value = value

    def __reduce__(self) -> tuple[Callable[..., ParamError], tuple[str, object, str]]:
        prefix = f"param {self.param}={self.value!r}: "
        return type(self), (self.param, self.value, str(self).removeprefix(prefix))


@dataclass(frozen=True, slots=True)
class BackfillParams:
    """What a backfill shall load.

    :param start: first local date of each site
    :param end: the date after the last one
    :param level: ``site`` or ``component``
    :param granularity: one of the vendor's granularities, ``latest`` apart
    :param fields: shortNames, or None for every Measured field of each entity
    :param site_ids: sites to load (at level component: sites whose components to load), or None for all
    :param component_ids: components to load, or None for all
    :param plan_only: log the plan and end
    """

    start: date
    end: date
    level: str = "site"
    granularity: str = "hourly"
    fields: tuple[str, ...] | None = None
    site_ids: tuple[int, ...] | None = None
    component_ids: tuple[int, ...] | None = None
    plan_only: bool = False

    @classmethod
    def from_raw(
        cls, raw: Mapping[str, Any], *, day: date, last_covered: date | None, scheduled: bool
    ) -> BackfillParams:
        """Read raw DAG params.

        Null ``start`` and ``end`` mean [day - lookback, day + 1). A scheduled run then also reaches back to
        the last covered day, for a range of at most 31 days. At monthly and yearly the start is then moved to
        the first day of its month or year, so that an interval that closed yesterday is in the range.
        ``start`` alone goes up to and with the run's day. ``lookback_days`` counts only where both are null.

        :param raw: the params by name; None and an absent one mean the default
        :param day: the run's day
        :param last_covered: the last day that ``coverage`` shows, or None
        :param scheduled: whether the timetable made the run
        :raises ParamError: for anything that is not allowed, a name that no param has included
        """
        check_names(raw, _NAMES)
        granularity = _choice("granularity", raw, INTERVAL_GRANULARITIES, default="hourly")
        level = _choice("level", raw, LEVELS, default="site")
        component_ids = _ids("component_ids", raw)
        if component_ids is not None and level != "component":
            raise ParamError(
                "component_ids", raw["component_ids"], "only with level=component; leave it null"
            )
        start, end = date_range(raw, day, last_covered if scheduled else None, granularity)
        return cls(
            start=start,
            end=end,
            level=level,
            granularity=granularity,
            fields=short_names(raw),
            site_ids=_ids("site_ids", raw),
            component_ids=component_ids,
            plan_only=flag("plan_only", raw),
        )


def check_names(raw: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse a name that no param has."""
    for name in raw:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ParamError(name, raw[name], f"no such param; {hint}the params are {', '.join(names)}")


def date_range(
    raw: Mapping[str, Any], day: date, last_covered: date | None, granularity: str
) -> tuple[date, date]:
    """Read ``start``, ``end`` and ``lookback_days``: the first date and the one after the last.

    :param day: the run's day
    :param last_covered: the last day that ``coverage`` shows, to which a run without start and end reaches back
    """
    start, end = _date("start", raw), _date("end", raw)
    lookback = _lookback(raw, day)
    if end is not None and start is None:
        raise ParamError("end", raw["end"], "needs a start; give both, or neither for the lookback")
    if start is None:
        begin = day - lookback
        if last_covered is not None:
            begin = min(begin, max(last_covered, day - LONGEST_REACH_BACK))
        if granularity in {"monthly", "yearly"}:
            begin = begin.replace(day=1, month=1 if granularity == "yearly" else begin.month)
        return begin, day + _DAY
    if end is None:
        if start > day:
            raise ParamError(
                "start", raw["start"], f"lies after the run's day, {day}; give an end, or an earlier start"
            )
        return start, day + _DAY
    if start >= end:
        raise ParamError("end", raw["end"], f"must be a date after the start, {start} (the end is exclusive)")
    return start, end


def _date(name: str, raw: Mapping[str, Any]) -> date | None:
    value = given(raw, name)
    if value is None:
        return None
    allowed = f"a date YYYY-MM-DD from {FIRST_DATE} to {LAST_DATE} is needed"
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip()) if _DATE_FIRST.match(value.strip()) else None
        except ValueError:
            moment = None
    if isinstance(moment, datetime):
        if moment.time() != time(0):
            raise ParamError(name, value, f"{allowed}, without a time of day")
        moment = moment.date()
    if not isinstance(moment, date) or not FIRST_DATE <= moment <= LAST_DATE:
        raise ParamError(name, value, allowed)
    return moment


def _lookback(raw: Mapping[str, Any], day: date) -> timedelta:
    value = given(raw, "lookback_days")
    longest = (day - FIRST_DATE).days
    days = DEFAULT_LOOKBACK_DAYS if value is None else whole(value)
    if days is None or not 0 <= days <= longest:
        raise ParamError("lookback_days", value, f"a whole number of days from 0 to {longest} is needed")
    return timedelta(days=days)


def _choice(name: str, raw: Mapping[str, Any], allowed: tuple[str, ...], *, default: str) -> str:
    value = given(raw, name)
    if value is None:
        return default
    if value not in allowed:
        raise ParamError(name, value, f"one of {', '.join(allowed)} is needed")
    return str(value)


def _ids(name: str, raw: Mapping[str, Any]) -> tuple[int, ...] | None:
    items = listed(name, raw, "a list of ids (whole numbers above 0), or null for all, is needed")
    if items is None:
        return None
    ids = []
    for item in items:
        number = whole(item)
        if number is None or number < 1:
            raise ParamError(name, raw[name], f"{item!r} is not an id: whole numbers above 0 are needed")
        ids.append(number)
    return tuple(dict.fromkeys(ids))


def short_names(raw: Mapping[str, Any], every: str = "every Measured field") -> tuple[str, ...] | None:
    """Read the param ``fields``; null, None here, stands for ``every``."""
    needed = f"a list of shortNames such as Wh_sum, or null for {every}, is needed"
    items = listed("fields", raw, needed)
    if items is None:
        return None
    names = [item.strip() if isinstance(item, str) else "" for item in items]
    if not all(names) or any("," in name for name in names):
        raise ParamError("fields", raw["fields"], needed)
    return tuple(dict.fromkeys(names))


def listed(name: str, raw: Mapping[str, Any], needed: str, separator: str = ",") -> list[Any] | None:
    """Read a list, of which blank items are left out; a text is parted at the separator, null is None."""
    value = given(raw, name)
    if value is None:
        return None
    items = value.split(separator) if isinstance(value, str) else value
    if isinstance(items, int) and not isinstance(items, bool):
        items = [items]
    if isinstance(items, list | tuple):
        # the form's text box makes an item of every line, the empty last one too
        items = [item for item in items if not isinstance(item, str) or item.strip()]
    if not isinstance(items, list) or not items:
        raise ParamError(name, value, needed)
    return items


def flag(name: str, raw: Mapping[str, Any]) -> bool:
    """Read a param that is true or false; null is false."""
    value = given(raw, name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise ParamError(name, value, "true or false is needed")
    return value


def whole(value: object) -> int | None:
    """Read a whole number, which may be text; None of anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 20:
        return int(value)
    return None


def given(raw: Mapping[str, Any], name: str) -> Any:
    """Return a raw param; a text of blanks is None."""
    value = raw.get(name)
    return None if isinstance(value, str) and not value.strip() else value
