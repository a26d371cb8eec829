"""Sensors of the Locus Energy v3 API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locus_stem.sensors.wait import LocusSensor
from locus_stem.triggers.locus import LocusAlertTrigger, LocusDataAvailableTrigger, LocusDataTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

__all__ = ["LocusAlertSensor", "LocusDataAvailableSensor", "LocusDataSensor"]


class LocusAlertSensor(LocusSensor):
    """Wait until an alert opens or closes, of a component, a site or a partner.

    An alert has opened at its `start` and closed at its `end`. The API shows it some time later; so one is meant that
    was updated since `since` and opened (closed) since then or in the hour before. One look is one request, but for a
    partner one for each 31 days once `since` is more than a week ago.

    The task returns the alerts as the API shows them, the earliest first, at most 50 and no more than `max_xcom_bytes`
    allows.

    .. code-block:: python

        LocusAlertSensor(task_id="fault", site_id=3000001, alert_type=["Device Fault"], priority=["High"])

    :param partner_id: the partner (templated); default, where no site or component is given either: the connection's.
    :param site_id: the site, instead of a partner (templated).
    :param component_id: the component, instead of a partner (templated).
    :param alert_type: only these types: a list, or one text with commas (templated); default: any.
    :param priority: only these priorities: a list, or one text with commas (templated); default: any.
    :param since: an instant with its zone (templated); default: the run's ``run_after``, which stays the same however
        often the task is rescheduled, retried or cleared. Of a partner at most 372 days back.
    :param state: ``opened`` or ``closed`` (templated).
    """

    template_fields: Sequence[str] = (
        *LocusSensor.template_fields,
        "partner_id",
        "site_id",
        "component_id",
        "alert_type",
        "priority",
        "since",
        "state",
    )
    trigger = LocusAlertTrigger

    def __init__(
        self,
        *,
        partner_id: int | str | None = None,
        site_id: int | str | None = None,
        component_id: int | str | None = None,
        alert_type: Sequence[str] | str | None = None,
        priority: Sequence[str] | str | None = None,
        since: datetime | str | None = None,
        state: str = "opened",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.partner_id = partner_id
        self.site_id = site_id
        self.component_id = component_id
        self.alert_type = alert_type
        self.priority = priority
        self.since = since
        self.state = state

    def arguments(self, context: Context) -> dict[str, Any]:
        """Give what is waited for, by name."""
        given = super().arguments(context)
        return {**given, "since": given["since"] or context["dag_run"].run_after}


class LocusDataSensor(LocusSensor):
    """Wait until a site's or component's measurements reach an instant.

    It is reached once each field has a value (null is none) in an interval that is over and ends at the instant or
    later. Nothing is asked before the first such interval is over; then one look is one request for it and a day more.
    From daily up the days are the site's own: then one to three more requests ask for its zone.

    A component's `latest` data point must begin at the instant or later: the API doesn't say how long it is.

    The task returns ``{field: {"ts": …, "value": …}}``, each field's first interval with a value.

    .. code-block:: python

        LocusDataSensor(task_id="measured", site_id=3000001, fields=["Wh_sum"], until="{{ data_interval_end }}")

    :param site_id: the site (templated).
    :param component_id: the component, instead of a site (templated).
    :param fields: short names: a list, or one text with commas (templated).
    :param until: an instant with its zone (templated).
    :param granularity: length of the intervals (templated); default: ``hourly`` of a site, ``latest`` of a component.
    """

    template_fields: Sequence[str] = (
        *LocusSensor.template_fields,
        "site_id",
        "component_id",
        "fields",
        "until",
        "granularity",
    )
    trigger = LocusDataTrigger

    def __init__(
        self,
        *,
        site_id: int | str | None = None,
        component_id: int | str | None = None,
        fields: Sequence[str] | str,
        until: datetime | str,
        granularity: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.site_id = site_id
        self.component_id = component_id
        self.fields = fields
        self.until = until
        self.granularity = granularity


class LocusDataAvailableSensor(LocusSensor):
    """Wait until fields become available for a site or component, or in bulk data of a partner's sites.

    One look is one request. The task returns the granularities of each field.

    .. code-block:: python

        LocusDataAvailableSensor(
            task_id="irradiance", site_id=3000001, fields=["POAI_avg"], granularity="15min"
        )

    :param partner_id: the partner (templated); default, where no site or component is given either: the connection's.
    :param site_id: the site, instead of a partner (templated).
    :param component_id: the component, instead of a partner (templated).
    :param fields: short names, all of them: a list, or one text with commas (templated).
    :param granularity: at which they are to be had (templated); default: any.
    """

    template_fields: Sequence[str] = (
        *LocusSensor.template_fields,
        "partner_id",
        "site_id",
        "component_id",
        "fields",
        "granularity",
    )
    trigger = LocusDataAvailableTrigger

    def __init__(
        self,
        *,
        partner_id: int | str | None = None,
        site_id: int | str | None = None,
        component_id: int | str | None = None,
        fields: Sequence[str] | str,
        granularity: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.partner_id = partner_id
        self.site_id = site_id
        self.component_id = component_id
        self.fields = fields
        self.granularity = granularity
