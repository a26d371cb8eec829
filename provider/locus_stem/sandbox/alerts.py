"""Alerts that open, change, close and vanish as time goes by, each worked out from its number alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from locus_stem.sandbox import unknown
from locus_stem.sandbox.entities import COMPONENTS_A_SITE, FIRST_COMPONENT, lifetime, mix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from locus_stem.sandbox.entities import Component
    from locus_stem.sandbox.fleet import Fleet

EPOCH = datetime(2019, 1, 1, tzinfo=UTC)
CYCLE = timedelta(days=16)
#: From an alert's start to its last update.
LONGEST = timedelta(days=151)
ALERTS_A_COMPONENT = 1024
#: "Performance Yield" is named by the reference's prose but not by its list of valid types.
TYPES = (
    "Device Fault", "System Disconnect", "Zero Generation", "Performance Index", "Strings Performance",
    "Device Fault", "System Disconnect", "Performance Yield",
)  # fmt: skip
PRIORITIES = ("High", "Medium", "Low", "Medium")


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it stands at one moment; ``updated`` is its last change until then."""

    id: int
    component: Component
    alert_type: str
    priority: str
    start: datetime
    end: datetime | None
    updated: datetime
    descriptions: tuple[str, ...]

    def open_during(self, first: datetime, last: datetime) -> bool:
        """Whether it is open at some time of the period."""
        return self.start < last and (self.end is None or self.end >= first)


def alerts_of(
    component: Component, now: datetime, seed: int, *, since: datetime | None = None
) -> Iterator[Alert]:
    """Go through a component's alerts that there are now: one opens in some of the 16-day cycles.

    :param since: leave out what surely ended and was last updated before then.
    """
    bits = mix(seed, 7, component.id)
    if component.node_type == "TRANSFORMER" or bits % 3 == 0:
        return
    installed, removed = lifetime(component.site)
    first = datetime.fromtimestamp(installed * 60, UTC)
    last = now if removed is None else min(now, datetime.fromtimestamp(removed * 60, UTC))
    first_cycle = max(0, -int((EPOCH - first) // CYCLE))
    if since is not None:  # an alert may start late in its cycle
        first_cycle = max(first_cycle, int((since.astimezone(UTC) - LONGEST - EPOCH) // CYCLE))
    for cycle in range(first_cycle, int((last - EPOCH) / CYCLE) + 1):
        alert = _alert(component, cycle, now, seed)
        if alert is not None:
            yield alert


def _alert(component: Component, cycle: int, now: datetime, seed: int) -> Alert | None:
    bits = mix(seed, 8, component.id, cycle)
    if bits % 5 < 2:
        return None
    start = EPOCH + cycle * CYCLE + timedelta(minutes=(bits >> 8) % 23040)
    shown = start + timedelta(seconds=60 + (bits >> 24) % 1800)
    if shown > now:
        return None
    # Most last for hours, some for weeks, and a few for months.
    lasts = timedelta(minutes=(bits >> 32) % 600) if bits % 7 else timedelta(hours=(bits >> 32) % 900)
    vanishes = bits % 23 == 0
    if bits % 97 == 0:
        lasts = timedelta(days=150)
    elif vanishes:
        lasts = timedelta(days=30)
    end = shown + lasts + timedelta(seconds=59)
    raised = shown + timedelta(hours=9)
    priority = (bits >> 44) % len(PRIORITIES)
    updated = shown
    if raised <= min(now, end) and bits % 11 < 4:
        updated, priority = raised, 0
    over = end + timedelta(minutes=3) <= now
    if over:
        updated = end + timedelta(minutes=3)
    if vanishes and now >= shown + timedelta(days=2):
        return None
    alert_type = TYPES[(bits >> 48) % len(TYPES)]
    descriptions: tuple[str, ...] = ()
    if alert_type == "Device Fault":
        descriptions = ("VDC high", "A voltage higher than 2100 V is present on the DC bus. (Resettable)")
        descriptions = descriptions[: 1 + (bits >> 52) % 2]
    return Alert(
        id=(component.id - FIRST_COMPONENT + COMPONENTS_A_SITE) * ALERTS_A_COMPONENT + cycle,
        component=component,
        alert_type=alert_type,
        priority=PRIORITIES[priority],
        start=start,
        end=end if over else None,
        updated=updated,
        descriptions=descriptions,
    )


def alert_values(alert: Alert) -> dict[str, Any]:
    """Return an alert's attributes by the reference's names, its times as instants."""
    found: dict[str, Any] = {
        "id": alert.id,
        "componentId": alert.component.id,
        "componentName": alert.component.name,
        "siteId": alert.component.site.id,
        "siteName": alert.component.site.name,
        "alertType": alert.alert_type,
        "priority": alert.priority,
        "start": alert.start,
    }
    if alert.end is not None:
        found["end"] = alert.end
    found["updated"] = alert.updated
    return found | dict(zip(("descriptionShort", "descriptionLong"), alert.descriptions, strict=False))


def shown_values(fleet: Fleet, alert: Alert) -> dict[str, Any]:
    """Return an alert's attributes as a fleet shows them."""
    found = alert_values(alert)
    return unknown.extended(found, alert.id) if fleet.unknown else found
