"""The 20 endpoints of the Locus Energy v3 API."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from locus_stem.api.bounds import data_bound
from locus_stem.api.endpoint import Endpoint, endpoints_of
from locus_stem.api.granularity import (
    ALERTS_OPEN_DURING_LIMIT,
    BULK_GRANULARITY,
    BULK_LIMIT_MONTHS,
    GRANULARITIES,
    INTERVAL_GRANULARITIES,
    limit,
)
from locus_stem.api.parameter import Kind, Param

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What alerts can be filtered by; an answer may hold other values. Reference: alerts/alerts.
ALERT_TYPES = (
    "Device Fault",
    "Performance Index",
    "Strings Performance",
    "System Disconnect",
    "Zero Generation",
)
ALERT_STATUSES = ("open", "closed")
ALERT_PRIORITIES = ("high", "medium", "low")

_COMPONENT_ID = Param("componentId", "component_id", Kind.NUMBER, "id of the component", required=True)
_SITE_ID = Param("siteId", "site_id", Kind.NUMBER, "id of the site", required=True)
_CLIENT_ID = Param("clientId", "client_id", Kind.NUMBER, "id of the client", required=True)
_PARTNER_ID = Param("partnerId", "partner_id", Kind.NUMBER, "id of the partner", required=True)
_FIELDS = Param("fields", "fields", Kind.NAMES, "short names, as dataavailable lists them", required=True)
_TZ = Param(
    "tz", "tz", Kind.TEXT, "IANA name of the zone of the request's and the answer's times", required=True
)
_FIELD_PARAMETERS = Param("", "field_parameters", Kind.PAIRS, "parameters of modeled fields")
_START = "first instant of the period"
_END = "end of the period; a second before it is safe whether the API takes it as inclusive or not"


def _gran(*choices: str) -> Param:
    return Param("gran", "gran", Kind.TEXT, "length of the intervals", required=True, choices=choices)


def _check_period(arguments: Mapping[str, Any]) -> None:
    gran = arguments["gran"]
    given = {name: arguments[name] for name in ("start", "end") if name in arguments}
    if gran == "latest":
        for name, value in given.items():
            raise ValueError(f"{name}: {value!r} is refused; gran=latest takes neither start nor end")
        return
    for name in ("start", "end"):
        if name not in given:
            raise ValueError(f"{name}: None is refused; gran={gran} requires start and end")
    start, end = _ordered(arguments, "start", "end")
    longest = limit(gran)
    if longest is not None and end - start >= longest:
        raise ValueError(
            f"end: {arguments['end']!r} is refused; "
            f"allowed with gran={gran}: less than {longest.days} days after start"
        )


def _check_bulk_period(arguments: Mapping[str, Any]) -> None:
    start, end = _ordered(arguments, "start", "end")
    last = start.replace(
        year=start.year + BULK_LIMIT_MONTHS // 12, day=min(start.day, 28 if start.month == 2 else 31)
    )
    if end > last:
        raise ValueError(
            f"end: {arguments['end']!r} is refused; allowed: at most {BULK_LIMIT_MONTHS} months after start"
        )


def _check_open_during(arguments: Mapping[str, Any]) -> None:
    names = [name for name in ("open_during_min", "open_during_max") if name in arguments]
    if len(names) == 1:
        raise ValueError(
            f"{names[0]}: {arguments[names[0]]!r} is refused; open_during_min and _max go together"
        )
    if names:
        _ordered(arguments, "open_during_min", "open_during_max")


def _check_partner_alerts(arguments: Mapping[str, Any]) -> None:
    _check_open_during(arguments)
    if "open_during_min" not in arguments:
        if "updated_since" not in arguments:
            raise ValueError(
                "updated_since: None is refused; a partner's alerts require it, "
                "or both open_during_min and open_during_max"
            )
        return
    start, end = _ordered(arguments, "open_during_min", "open_during_max")
    if end - start > ALERTS_OPEN_DURING_LIMIT:
        raise ValueError(
            f"open_during_max: {arguments['open_during_max']!r} is refused; "
            f"allowed: at most {ALERTS_OPEN_DURING_LIMIT.days} days after open_during_min"
        )


def _ordered(arguments: Mapping[str, Any], first: str, second: str) -> tuple[datetime, datetime]:
    # the zone is the same for both: wall-clock times are compared, as the API does
    start, end = datetime.fromisoformat(arguments[first]), datetime.fromisoformat(arguments[second])
    if end < start:
        raise ValueError(
            f"{second}: {arguments[second]!r} is refused; allowed: from {first} ({arguments[first]}) on"
        )
    return start, end


_DATA = (
    _FIELDS,
    Param("start", "start", Kind.LOCAL_TIME, _START),
    Param("end", "end", Kind.LOCAL_TIME, _END),
    _TZ,
)
_ALERTS = (
    Param(
        "updatedSince",
        "updated_since",
        Kind.LOCAL_TIME,
        "only alerts updated since then; for a partner at most 7 days ago",
    ),
    Param(
        "openDuringMin",
        "open_during_min",
        Kind.LOCAL_TIME,
        "only alerts open at some time from then on; for a partner 31 days at most",
    ),
    Param("openDuringMax", "open_during_max", Kind.LOCAL_TIME, "only alerts open at some time until then"),
    Param("alertType", "alert_type", Kind.NAMES, "only these types; default: all", choices=ALERT_TYPES),
    Param("status", "status", Kind.TEXT, "only this status; default: both", choices=ALERT_STATUSES),
    Param(
        "priority", "priority", Kind.NAMES, "only these priorities; default: all", choices=ALERT_PRIORITIES
    ),
    _TZ,
)


class LocusEndpoints:
    """The Locus Energy v3 API: each page of its reference that is an endpoint is a method of that name."""

    get_component = Endpoint(
        "/v3/components/{component_id}", None, "components/get-component", "Get a component", (_COMPONENT_ID,)
    )
    get_site_components = Endpoint(
        "/v3/sites/{site_id}/components",
        "components",
        "components/get-site-components",
        "List a site's components",
        (_SITE_ID,),
        many=True,
    )
    get_client_components = Endpoint(
        "/v3/clients/{client_id}/components",
        "components",
        "components/get-client-components",
        "List a client's components",
        (_CLIENT_ID,),
        many=True,
    )
    get_partner_components = Endpoint(
        "/v3/partners/{partner_id}/components",
        "components",
        "components/get-partner-components",
        "List a partner's components",
        (_PARTNER_ID,),
        (
            Param("nodeId", "node_id", Kind.TEXT, "only components with this node id; % is a wildcard"),
            Param("notes", "notes", Kind.TEXT, "only components with such notes; % is a wildcard"),
        ),
        many=True,
    )
    get_site = Endpoint("/v3/sites/{site_id}", None, "sites/get-site", "Get a site", (_SITE_ID,))
    get_client_sites = Endpoint(
        "/v3/clients/{client_id}/sites",
        "sites",
        "sites/get-client-sites",
        "List a client's sites",
        (_CLIENT_ID,),
        many=True,
    )
    get_partner_sites = Endpoint(
        "/v3/partners/{partner_id}/sites",
        "sites",
        "sites/get-partner-sites",
        "List a partner's sites",
        (_PARTNER_ID,),
        many=True,
    )
    get_installinfo = Endpoint(
        "/v3/sites/{site_id}/installinfo",
        None,
        "sites/get-installinfo",
        "Get a site's installation dates and crews",
        (_SITE_ID,),
    )
    get_modelsettings = Endpoint(
        "/v3/sites/{site_id}/modelsettings",
        None,
        "sites/get-modelsettings",
        "Get the parameters of a site's PV model (size in kW DC, derate factors, 100 is no loss)",
        (_SITE_ID,),
    )
    get_client = Endpoint(
        "/v3/clients/{client_id}", None, "clients/get-client", "Get a client", (_CLIENT_ID,)
    )
    get_partner_clients = Endpoint(
        "/v3/partners/{partner_id}/clients",
        "clients",
        "clients/get-partner-clients",
        "List a partner's clients",
        (_PARTNER_ID,),
        many=True,
    )
    get_component_dataavailable = Endpoint(
        "/v3/components/{component_id}/dataavailable",
        "baseFields",
        "dataavailable/get-component-dataavailable",
        "List the fields that a component has, with unit and granularities",
        (_COMPONENT_ID,),
        many=True,
    )
    get_site_dataavailable = Endpoint(
        "/v3/sites/{site_id}/dataavailable",
        "baseFields",
        "dataavailable/get-site-dataavailable",
        "List the fields that a site has, with unit and granularities",
        (_SITE_ID,),
        many=True,
    )
    get_site_bulk_dataavailable = Endpoint(
        "/v3/partners/{partner_id}/sites/dataavailable",
        "baseFields",
        "dataavailable/get-site-bulk-dataavailable",
        "List the fields that bulk data of a partner's sites can have",
        (_PARTNER_ID,),
        many=True,
    )
    get_component_data = Endpoint(
        "/v3/components/{component_id}/data",
        "data",
        "data/get-component-data",
        "Get a component's measurements; ts is an interval's first instant, valueless fields are left out",
        (_COMPONENT_ID,),
        (*_DATA, _gran(*GRANULARITIES), _FIELD_PARAMETERS),
        many=True,
        check=_check_period,
        bounded=data_bound,
    )
    get_site_data = Endpoint(
        "/v3/sites/{site_id}/data",
        "data",
        "data/get-site-data",
        "Get a site's measurements; ts is an interval's first instant, valueless fields are left out",
        (_SITE_ID,),
        (*_DATA, _gran(*INTERVAL_GRANULARITIES), _FIELD_PARAMETERS),
        many=True,
        check=_check_period,
        bounded=data_bound,
    )
    get_site_bulk_data = Endpoint(
        "/v3/partners/{partner_id}/sites/data",
        "data",
        "data/get-site-bulk-data",
        "Get monthly measurements of all of a partner's sites; a field without a value is null",
        (_PARTNER_ID,),
        (
            Param("start", "start", Kind.LOCAL_TIME, _START, required=True),
            Param("end", "end", Kind.LOCAL_TIME, _END, required=True),
            _TZ,
            _gran(BULK_GRANULARITY),
            _FIELDS,
        ),
        many=True,
        check=_check_bulk_period,
    )
    get_partner_alerts = Endpoint(
        "/v3/partners/{partner_id}/alerts",
        "alerts",
        "alerts/get-partner-alerts",
        "List alerts of a partner's components; updated_since or both open_during are required",
        (_PARTNER_ID,),
        _ALERTS,
        many=True,
        check=_check_partner_alerts,
    )
    get_site_alerts = Endpoint(
        "/v3/sites/{site_id}/alerts",
        "alerts",
        "alerts/get-site-alerts",
        "List alerts of a site's components",
        (_SITE_ID,),
        _ALERTS,
        many=True,
        check=_check_open_during,
    )
    get_component_alerts = Endpoint(
        "/v3/components/{component_id}/alerts",
        "alerts",
        "alerts/get-component-alerts",
        "List alerts of a component",
        (_COMPONENT_ID,),
        _ALERTS,
        many=True,
        check=_check_open_during,
    )


LOCUS_ENDPOINTS: tuple[Endpoint, ...] = endpoints_of(LocusEndpoints)
