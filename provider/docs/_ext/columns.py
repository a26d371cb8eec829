"""What each column of the tables means, with its unit; names and types stand in `locus_stem.tables.schemas`.

A name holds for every table that has it, unless `table.column` says otherwise.
"""

from __future__ import annotations

_DERATE = "%, what is left after this loss (100: none), as PVWatts' derate factors"

COLUMNS: dict[str, str] = {
    # who and where
    "client_id": "the client's id",
    "partner_id": "the partner's id",
    "site_id": "the site's id",
    "component_id": "the component's id",
    "alert_id": "the alert's id",
    "parent_id": "id of the site or component that stands above this one",
    "parent_type": "`SITE` or `COMPONENT`: what `parent_id` names",
    "name": "name",
    "first_name": "first name of the client's contact",
    "last_name": "last name of the client's contact",
    "email": "e-mail address of the client's contact",
    "tz": "IANA name of the client's zone, as the API spells it",
    "location_timezone": "IANA name of the site's zone, as the API spells it; null: the client's zone counts",
    "address1": "address, first line",
    "address2": "address, second line",
    "locale3": "city, within the US",
    "locale1": "state, within the US",
    "locale_code1": "the state's abbreviation, within the US",
    "postal_code": "postal code",
    "country_code": "the country's abbreviation",
    "latitude": "degrees, north is positive",
    "longitude": "degrees, east is positive",
    "link": "path of the object in the API",
    "removed_on": "UTC date on which the API no longer listed it; null: it does. Removed rows stay and are not planned",
    # components
    "node_id": "the physical device's node id, also known as MAC id",
    "node_type": "kind of component, `INVERTER`, `METER`, …",
    "application": "`GENERATION` or `NET-GRID`",
    "generation_type": "`SOLAR`, `WIND`, `THERMAL`, `OTHER`, `NET-GRID` or `EVSE`",
    "oem": "maker",
    "model": "the maker's name of the model",
    "is_conceptual_node": "true: it groups others and measures nothing itself; no data is asked for it",
    "serial_number": "serial number, free text",
    "description": "description, free text",
    # install info, model settings
    "installer": "installer",
    "install_crew": "crew that installed it",
    "install_date": "date of installation",
    "pto_date": "date of the permission to operate",
    "startup_date": "date of start-up; prorated fields of bulk data count from here",
    "uninstall_crew": "crew that removed it",
    "uninstall_date": "date of removal",
    "size": "kW, rated DC power",
    "mismatch": _DERATE,
    "diodes_and_connections": _DERATE,
    "dc_wiring": _DERATE,
    "soiling": _DERATE,
    "sun_tracking": _DERATE,
    "nameplate": _DERATE,
    "ac_wiring": _DERATE,
    "transformer": _DERATE,
    "tmy3_id": "number of the TMY3 weather station whose typical year the model uses",
    # what data there is
    "entity_type": "`site`, `component` or `partner`: what `entity_id` names",
    "entity_id": "id of the site, component or partner",
    "short_name": "the field's name in requests and in the tables of measurements: base field and aggregation",
    "base_field": "the field without its aggregation",
    "long_name": "the field's name for people",
    "source": "`Measured`, `Modeled` or `Expected`",
    "unit": "**the field's unit**, as `W`, `Wh`, `W/m²`; empty: a ratio",
    "aggregation": "`avg`, `sum`, `min` or `max` over the interval",
    "granularities": "granularities at which the field can be asked for",
    "field_parameters": "JSON: parameters that a modeled field takes, with the values that are allowed",
    # measurements
    "granularity": "length of the interval: `1min`, `5min`, `15min`, `hourly`, `daily`, `monthly`, `yearly`",
    "ts": "the interval's first instant, UTC",
    "local_date": "date where the site is, on which the interval starts",
    "month": "first day of the month of `local_date`",
    "locus_bulk_monthly.month": "first day of the month, in the site's zone",
    # alerts
    "updated": "UTC, when the vendor last changed the alert",
    "component_name": "name of the component that has the alert",
    "site_name": "name of the component's site",
    "alert_type": (
        "`Device Fault`, `Performance Index`, `Strings Performance`, `System Disconnect` or `Zero Generation`; other "
        "values may come"
    ),
    "priority": "`High`, `Medium` or `Low`; other values may come",
    "start": "UTC, when the alert opened",
    "end": "UTC, when the alert closed; null: it is open",
    "description_short": "short description; the vendor gives it for device faults only",
    "description_long": "longer description; the vendor gives it for some device faults only",
    "withdrawn_at": "UTC, when a sync found that the API no longer shows an alert that was open; null: it is shown",
    # Stem
    "stem_clients.client_id": "the client's identifier, text",
    "stem_sites.client_id": "identifier of the client that lists the site, text",
    "stem_sites.site_id": "the site's identifier, text",
    "stem_streams.site_id": "the site's identifier, text",
    "stream_start_times": "JSON: the first instant of each stream type that the site has",
    "stream_type": (
        "`MONITOR`: site meter and battery together, import is positive; `CONVERTER`: the battery, charging is "
        "positive; `INTERVAL_REVENUE`: a third party's revenue meter"
    ),
    "resolution": "s, length of the interval: 900, 1800 or 3600",
    "end_datetime": "the interval's end, UTC",
    "start_datetime": "the interval's start as the API gives it, UTC (one second after the end of the one before)",
    "kw_total_avg": "**kW**, mean power of the interval",
    "stem_streams.month": "first day of the UTC month of the interval",
    # coverage
    "coverage.source": "name of the table that was loaded",
    "coverage.entity_type": "`site`, `component`, …: what `entity_id` names",
    "coverage.entity_id": "id as text",
    "coverage.granularity": "granularity, for Stem the resolution in seconds (`900`); empty: a list or a detail",
    "field": "short name, for Stem the stream type; empty: a list or a detail",
    "coverage.local_date": "date where the site is; UTC date for lists, details and Stem",
    "expected": "intervals of that date that were asked for and had ended",
    "received": "values that came",
    "null_count": "rows that came without a value",
    "skipped": "why the field could not be asked for; null: it was",
    # runs
    "dag_id": "the DAG's id",
    "run_id": "the DAG run's id",
    "task_id": "the task's id",
    "map_index": "number of the mapped task; -1: not mapped",
    "try_number": "number of the try, from 1",
    "started": "UTC, first instant of the work with the API",
    "ended": "UTC, last instant of the work with the API",
    "requests": "requests that were sent",
    "answered_by_status": "JSON: number of answers by HTTP status",
    "retries": "requests that were sent again",
    "api_seconds": "s in which a request was in flight",
    "rows_new": "rows that were inserted",
    "rows_changed": "rows with a value that differs from the one before",
    "rows_unchanged": "rows that were answered as they stood",
    "rows_withdrawn": "rows of which a value became null, because the API no longer gives it",
    "entities_skipped": "entities that the API refused or has no data of",
}


def meaning(table: str, column: str) -> str:
    """Say what a column of a table means, with its unit.

    :raises KeyError: nobody has described it; describe it in COLUMNS.
    """
    for key in (f"{table}.{column}", column):
        if key in COLUMNS:
            return COLUMNS[key]
    raise KeyError(f"{table}.{column} has no meaning: describe it in {__file__}")
