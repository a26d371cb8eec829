"""Later days of alerts: the sandbox's clock and the sync's go together.

A sync whose own clock stayed behind would store no change that lies more than a day ahead of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from locus_stem.api import session
from locus_stem.pipelines.alert_sync import sync_alerts

if TYPE_CHECKING:
    from datetime import timedelta

    import pytest

    from locus_stem.sandbox.fleet import Fleet


def move_clocks(monkeypatch: pytest.MonkeyPatch, fleet: Fleet, ahead: timedelta) -> None:
    """Let both be so far ahead of this machine's."""

    def now() -> datetime:
        return datetime.now(UTC) + ahead

    fleet.set_now(now)
    monkeypatch.setitem(sync_alerts.__kwdefaults__, "now", now)
    monkeypatch.setattr(session, "_utc_now", now)
