"""Locus alert calls: filters and their limits (reference: alerts/*)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from locus_stem.api.granularity import ALERTS_OPEN_DURING_LIMIT, ALERTS_UPDATED_SINCE_LIMIT
from locus_stem.api.locus import ALERT_PRIORITIES, ALERT_STATUSES, ALERT_TYPES
from locus_stem.sandbox.alerts import alerts_of, shown_values
from locus_stem.sandbox.grid import write
from locus_stem.sandbox.locus_objects import listed
from locus_stem.sandbox.query import moment_in, one_of, parameters, zone_of
from locus_stem.sandbox.reply import Refusal, Reply

if TYPE_CHECKING:
    from collections.abc import Iterable
    from zoneinfo import ZoneInfo

    from locus_stem.sandbox.alerts import Alert
    from locus_stem.sandbox.entities import Component
    from locus_stem.sandbox.fleet import Fleet
    from locus_stem.sandbox.options import Options
    from locus_stem.sandbox.query import Pairs

_OPEN_DURING = ("openDuringMin", "openDuringMax")


def alerts(
    fleet: Fleet, options: Options, components: Iterable[Component], pairs: Pairs, *, of_partner: bool
) -> Reply:
    """Answer the alerts of some components; a partner's are limited in time."""
    now = fleet.now()
    found = parameters(
        pairs, required=("tz",), optional=("updatedSince", *_OPEN_DURING, "alertType", "status", "priority")
    )
    zone = zone_of(found)
    since = moment_in(found, "updatedSince", zone) if "updatedSince" in found else None
    period = _period(found, zone)
    if of_partner:
        if since is None and period is None:
            raise Refusal(400, "Either updatedSince or both openDuringMin and openDuringMax are required")
        if (
            since is not None
            and now.timestamp() - since.timestamp() > ALERTS_UPDATED_SINCE_LIMIT.total_seconds()
        ):
            raise Refusal(400, "updatedSince is limited to up to 7 days ago")
        if period is not None and _seconds(period) > ALERTS_OPEN_DURING_LIMIT.total_seconds():
            raise Refusal(400, "Open during time period is limited to 31 days")
    types = one_of(found, "alertType", ALERT_TYPES) if "alertType" in found else None
    status = one_of(found, "status", ALERT_STATUSES)
    priorities = one_of(found, "priority", ALERT_PRIORITIES) if "priority" in found else None
    inclusive = options.updated_since == "inclusive"
    earliest = max((moment for moment in (since, period and period[0]) if moment), default=None)
    chosen = (
        alert
        for component in components
        for alert in alerts_of(component, now, fleet.seed, since=earliest)
        if (since is None or alert.updated > since or (alert.updated == since and inclusive))
        and (period is None or alert.open_during(*period))
        and (types is None or alert.alert_type in types)
        and ("open" if alert.end is None else "closed") in status
        and (priorities is None or alert.priority.lower() in priorities)
    )
    return listed(
        "alerts", (_written(fleet, alert, zone, options.utc_suffix or "-00:00") for alert in chosen)
    )


def _period(found: dict[str, str], zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    given = [name for name in _OPEN_DURING if name in found]
    if not given:
        return None
    if len(given) == 1:
        raise Refusal(400, "openDuringMin and openDuringMax are required together")
    first, last = (moment_in(found, name, zone) for name in _OPEN_DURING)
    if last < first:
        raise Refusal(400, "openDuringMax must not be before openDuringMin")
    return first, last


def _seconds(period: tuple[datetime, datetime]) -> float:
    return period[1].timestamp() - period[0].timestamp()


def _written(fleet: Fleet, alert: Alert, zone: ZoneInfo, suffix: str) -> dict[str, Any]:
    return {
        name: write(value, zone, suffix) if isinstance(value, datetime) else value
        for name, value in shown_values(fleet, alert).items()
    }
