"""Sensors of the Stem Developer Data API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locus_stem.api.stem import DEFAULT_RESOLUTION
from locus_stem.sensors.wait import StemSensor
from locus_stem.triggers.stem import StemStreamAvailableTrigger, StemStreamTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

__all__ = ["StemStreamAvailableSensor", "StemStreamSensor"]


class StemStreamSensor(StemSensor):
    """Wait until a site's stream reaches an instant.

    It is reached once an interval that is over and ends at the instant or later has a value. Nothing is asked before
    the first such interval is over; then one look is one request for it and a day more. Because the API shifts what is
    asked for by one resolution, the newest interval may be shown so much later. A stream that the site doesn't have yet
    is waited for.

    The task returns the interval's ``end_datetime`` and ``kw_total_avg``.

    .. code-block:: python

        StemStreamSensor(task_id="metered", site_id="Warehouse 1", until="{{ data_interval_end }}")

    :param site_id: identifier of the site (templated).
    :param until: an instant with its zone (templated).
    :param stream_type: ``MONITOR``, ``CONVERTER`` or ``INTERVAL_REVENUE`` (templated).
    :param resolution: length of the intervals in seconds: 900, 1800 or 3600 (templated).
    """

    template_fields: Sequence[str] = (
        *StemSensor.template_fields,
        "site_id",
        "until",
        "stream_type",
        "resolution",
    )
    trigger = StemStreamTrigger

    def __init__(
        self,
        *,
        site_id: str,
        until: datetime | str,
        stream_type: str = "MONITOR",
        resolution: int | str = DEFAULT_RESOLUTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.site_id = site_id
        self.until = until
        self.stream_type = stream_type
        self.resolution = resolution


class StemStreamAvailableSensor(StemSensor):
    """Wait until a site has a stream that has begun.

    One look is one request for the site, or with `client_id` the pages of the client's list up to the site: only of the
    list the reference says that it has the streams' begins.

    The task returns ``stream_type`` and ``start``, the instant at which the stream begins.

    .. code-block:: python

        StemStreamAvailableSensor(task_id="battery", site_id="Warehouse 1", stream_type="CONVERTER")

    :param site_id: identifier of the site (templated).
    :param stream_type: ``MONITOR``, ``CONVERTER`` or ``INTERVAL_REVENUE`` (templated).
    :param started_by: an instant with its zone at which the stream has begun (templated); default: the present.
    :param client_id: identifier of the site's client (templated): ask for its list of sites.
    """

    template_fields: Sequence[str] = (
        *StemSensor.template_fields,
        "site_id",
        "stream_type",
        "started_by",
        "client_id",
    )
    trigger = StemStreamAvailableTrigger

    def __init__(
        self,
        *,
        site_id: str,
        stream_type: str = "MONITOR",
        started_by: datetime | str | None = None,
        client_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.site_id = site_id
        self.stream_type = stream_type
        self.started_by = started_by
        self.client_id = client_id
