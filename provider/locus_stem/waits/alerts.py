"""Waiting until a Locus alert opens or closes. Reference: alerts/alerts, alerts/get-partner-alerts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from locus_stem.api.granularity import ALERTS_OPEN_DURING_LIMIT, ALERTS_UPDATED_SINCE_LIMIT
from locus_stem.api.locus import ALERT_PRIORITIES, ALERT_TYPES, LocusEndpoints
from locus_stem.waits.instant import CLOCKS_DIFFER, instant, on_the_servers_clock, told
from locus_stem.waits.wait import Found, Look, UnanswerableError, Wait, names, one_of_ids, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from locus_stem.api.answer import Answer
    from locus_stem.api.endpoint import Call

STATES = ("opened", "closed")
#: The API shows an alert some time after it has opened or closed.
SHOWN_LATE = timedelta(hours=1)
#: A partner's `updatedSince` is refused by the server's clock, not by ours.
LIMIT_MARGIN = timedelta(minutes=35)
#: A partner's look reaches back so far at most, in a request for each 31 days: it holds the slot meanwhile.
LONGEST_LOOK = timedelta(days=372)
#: Most alerts that are given on.
MOST_ALERTS = 50
_MOMENT = {"opened": "start", "closed": "end"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertWait(Wait):
    """Until an alert opens or closes.

    :param alert_type: one of these types, ALERT_TYPES' spelling; empty: any.
    :param priority: one of these priorities, ALERT_PRIORITIES' spelling; empty: any.
    :param since: what happened before is not meant.
    :param state: ``opened`` or ``closed``.
    """

    partner_id: int | None
    site_id: int | None
    component_id: int | None
    alert_type: tuple[str, ...]
    priority: tuple[str, ...]
    since: datetime
    state: str

    @classmethod
    def read(cls, **given: Any) -> Self:
        """Read settings."""
        entity = {name: given.get(name) for name in ("partner_id", "site_id", "component_id")}
        return cls(
            **one_of_ids(allow_none=True, **entity),
            alert_type=names("alert_type", given.get("alert_type"), ALERT_TYPES),
            priority=names("priority", given.get("priority"), ALERT_PRIORITIES),
            since=instant("since", given.get("since")),
            state=text("state", given.get("state", "opened"), STATES),
        )

    @property
    def lacks_partner(self) -> bool:
        """Whether no entity is named."""
        return self.partner_id is None and self.site_id is None and self.component_id is None

    def look(self, now: datetime) -> Look:
        """Ask for what was updated since then; a partner's longer ago, for what was open meanwhile."""
        for call in self.calls(now):
            answer = yield call
            if found := self.matching(answer):
                return Found(found[:MOST_ALERTS])
        return None

    def calls(self, now: datetime) -> Iterator[Call]:
        """Give the calls of a look: one, but for a partner one for each 31 days if it is for more than a week.

        :raises UnanswerableError: a partner's `since` is more than 12 such requests ago.
        """
        filters = {
            "tz": "UTC",
            "alert_type": self.alert_type or None,
            "priority": self.priority or None,
            "status": "closed" if self.state == "closed" else None,
        }
        asked_from = self.since - CLOCKS_DIFFER
        if self.site_id is not None:
            yield LocusEndpoints.get_site_alerts.request(
                site_id=self.site_id, updated_since=_wall(asked_from), **filters
            )
        elif self.component_id is not None:
            yield LocusEndpoints.get_component_alerts.request(
                component_id=self.component_id, updated_since=_wall(asked_from), **filters
            )
        elif asked_from >= now - ALERTS_UPDATED_SINCE_LIMIT + LIMIT_MARGIN:
            yield LocusEndpoints.get_partner_alerts.request(
                partner_id=self.partner_id, updated_since=_wall(asked_from), **filters
            )
        elif self.since < now - LONGEST_LOOK:
            raise UnanswerableError(
                f"since={self.since.isoformat()}: a partner's alerts are looked for at most {LONGEST_LOOK.days} days "
                "back; name a site or a component instead, or a later instant"
            )
        else:
            first, last = asked_from - SHOWN_LATE, now + CLOCKS_DIFFER
            while first < last:
                until = min(first + ALERTS_OPEN_DURING_LIMIT, last)
                yield LocusEndpoints.get_partner_alerts.request(
                    partner_id=self.partner_id,
                    open_during_min=_wall(first),
                    open_during_max=_wall(until),
                    **filters,
                )
                first = until

    def matching(self, answer: Answer) -> list[dict[str, Any]]:
        """Give the answer's alerts that are waited for, the earliest first.

        :raises MalformedAnswerError: a time can't be read.
        """
        since, moment = on_the_servers_clock(self.since, answer), _MOMENT[self.state]
        found = [
            (told(answer, alert[moment]), alert)
            for alert in answer.payload
            if alert.get(moment) is not None and self._is_meant(alert)
        ]
        chosen = [
            (at, alert)
            for at, alert in found
            if at >= since - SHOWN_LATE and told(answer, alert.get("updated")) >= since
        ]
        return [alert for _, alert in sorted(chosen, key=lambda pair: pair[0])]

    def _is_meant(self, alert: Mapping[str, Any]) -> bool:
        return all(
            not wanted or str(alert.get(key)).casefold() in {name.casefold() for name in wanted}
            for key, wanted in (("alertType", self.alert_type), ("priority", self.priority))
        )


def _wall(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}"
