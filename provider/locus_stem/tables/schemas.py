"""Every table as data: name, key, partitions and the columns whose types are fixed."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CHANGE_DATA", "INSTANT", "SPECS", "TableSpec", "snake_case"]

INSTANT = pa.timestamp("us", tz="UTC")
#: Columns that Delta's change data has beside a table's own.
CHANGE_DATA = frozenset({"_change_type", "_commit_version", "_commit_timestamp"})
INT, NUMBER, TEXT, FLAG, DAY = pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.date32()


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table: its key, its partitions and the types of the columns that it always has.

    ``other`` is the type of columns that are not listed, or None where an object's value decides it.
    ``id_column`` is what an object's own ``id`` is called.
    """

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, pa.DataType]
    partitions: tuple[str, ...] = ()
    other: pa.DataType | None = None
    id_column: str | None = None

    def schema(self) -> pa.Schema:
        """Return the schema of the empty table."""
        return pa.schema([pa.field(name, kind) for name, kind in self.columns.items()])

    def type_of(self, column: str) -> pa.DataType:
        """Return a column's type.

        :raises KeyError: the table has no such column, and a column's type can't be told by its name
        """
        kind = self.columns.get(column, self.other)
        if kind is None:
            raise KeyError(f"{self.name} has no column {column!r}")
        return kind


def snake_case(name: str) -> str:
    """Return an object's field name as a column name: an underscore before each capital, all lower case."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _spec(
    name: str,
    key: str,
    columns: Mapping[str, pa.DataType],
    *,
    partitions: str = "",
    other: pa.DataType | None = None,
    id_column: str | None = None,
) -> TableSpec:
    names = tuple(key.split())
    missing = set(names) - set(columns)
    assert not missing, f"{name}: key columns without a type: {missing}"  # noqa: S101
    return TableSpec(
        name, names, MappingProxyType(dict(columns)), tuple(partitions.split()), other, id_column
    )


def _texts(names: str) -> dict[str, pa.DataType]:
    return dict.fromkeys(names.split(), TEXT)


def _numbers(names: str) -> dict[str, pa.DataType]:
    return dict.fromkeys(names.split(), NUMBER)


ALERT = {
    "alert_id": INT,
    "updated": INSTANT,
    "component_id": INT,
    "component_name": TEXT,
    "site_id": INT,
    "site_name": TEXT,
    "alert_type": TEXT,
    "priority": TEXT,
    "start": INSTANT,
    "end": INSTANT,
    "description_short": TEXT,
    "description_long": TEXT,
}

SPECS: Mapping[str, TableSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            _spec(
                "locus_clients",
                "client_id",
                {
                    "client_id": INT,
                    "partner_id": INT,
                    **_texts("tz first_name last_name email"),
                    "removed_on": DAY,
                },
                id_column="client_id",
            ),
            _spec(
                "locus_sites",
                "site_id",
                {
                    "site_id": INT,
                    "client_id": INT,
                    **_texts("name address1 address2 locale3 locale1 locale_code1 postal_code country_code"),
                    **_numbers("latitude longitude"),
                    "location_timezone": TEXT,
                    "removed_on": DAY,
                },
                id_column="site_id",
            ),
            _spec(
                "locus_components",
                "component_id",
                {
                    **dict.fromkeys(("component_id", "site_id", "client_id", "parent_id"), INT),
                    **_texts("parent_type node_id name node_type application generation_type oem model"),
                    "is_conceptual_node": FLAG,
                    **_texts("serial_number description"),
                    "removed_on": DAY,
                },
                id_column="component_id",
            ),
            _spec(
                "locus_install_info",
                "site_id",
                {
                    "site_id": INT,
                    **_texts("installer install_crew"),
                    **dict.fromkeys(("install_date", "pto_date", "startup_date"), DAY),
                    "uninstall_crew": TEXT,
                    "uninstall_date": DAY,
                },
                id_column="site_id",
            ),
            _spec(
                "locus_model_settings",
                "site_id",
                {
                    "site_id": INT,
                    **_numbers(
                        "size mismatch diodes_and_connections dc_wiring soiling sun_tracking nameplate "
                        "ac_wiring transformer"
                    ),
                    "tmy3_id": INT,
                },
                id_column="site_id",
            ),
            _spec(
                "locus_data_available",
                "entity_type entity_id short_name",
                {
                    "entity_type": TEXT,
                    "entity_id": INT,
                    **_texts("short_name base_field long_name source unit aggregation"),
                    "granularities": pa.list_(TEXT),
                    "field_parameters": TEXT,
                },
            ),
            _spec(
                "locus_site_data",
                "site_id granularity ts",
                {"site_id": INT, "granularity": TEXT, "ts": INSTANT, "local_date": DAY, "month": DAY},
                partitions="granularity month",
                other=NUMBER,
            ),
            _spec(
                "locus_component_data",
                "component_id granularity ts",
                {
                    "component_id": INT,
                    "granularity": TEXT,
                    "ts": INSTANT,
                    "site_id": INT,
                    "local_date": DAY,
                    "month": DAY,
                },
                partitions="granularity month",
                other=NUMBER,
            ),
            _spec("locus_bulk_monthly", "site_id month", {"site_id": INT, "month": DAY}, other=NUMBER),
            _spec("locus_alerts", "alert_id", {**ALERT, "withdrawn_at": INSTANT}, id_column="alert_id"),
            _spec("locus_alert_history", "alert_id updated", ALERT, id_column="alert_id"),
            # What each webhook connection was told of each state last: see ``tables.alert_deliveries``.
            _spec(
                "_alert_deliveries",
                "connection alert_id updated",
                {
                    "connection": TEXT,
                    "alert_id": INT,
                    "updated": INSTANT,
                    "withdrawn_at": INSTANT,
                    "content": TEXT,
                    "number": INT,
                    "posted": FLAG,
                    "recorded": INSTANT,
                },
                partitions="connection",
            ),
            # States whose content was replaced: see ``tables.alert_contents``.
            _spec("_alert_rewrites", "alert_id updated", {"alert_id": INT, "updated": INSTANT}),
            # What loads have brought to the tables, and who loads which now: see ``tables.loads``.
            _spec(
                "_loads",
                "source granularity entity_id start asked_at load",
                {
                    **_texts("source granularity entity_id"),
                    "fields": pa.list_(TEXT),
                    "start": INSTANT,
                    "end": INSTANT,
                    "asked_at": INSTANT,
                    **_texts("reason load"),
                    "loaded_at": INSTANT,
                },
                partitions="source",
            ),
            _spec("stem_clients", "client_id", _texts("client_id name link"), id_column="client_id"),
            _spec(
                "stem_sites",
                "site_id",
                _texts("site_id client_id name link stream_start_times"),
                id_column="site_id",
            ),
            _spec(
                "stem_streams",
                "site_id stream_type resolution end_datetime",
                {
                    **_texts("site_id stream_type"),
                    "resolution": NUMBER,
                    "end_datetime": INSTANT,
                    "start_datetime": INSTANT,
                    "kw_total_avg": NUMBER,
                    "month": DAY,
                },
                partitions="month",
            ),
            # A run touches one source only, so that its merges see one partition. Dates are not a
            # partition: a fleet of ten sites would have a file of three kilobytes a day; the files' own
            # date ranges prune a large one.
            _spec(
                "coverage",
                "source entity_type entity_id granularity field local_date",
                {
                    **_texts("source entity_type entity_id granularity field"),
                    "local_date": DAY,
                    **_numbers("expected received null_count"),
                    "skipped": TEXT,
                },
                partitions="source",
            ),
            _spec(
                "runs",
                "dag_id run_id task_id map_index try_number",
                {
                    **_texts("dag_id run_id task_id"),
                    **_numbers("map_index try_number"),
                    "started": INSTANT,
                    "ended": INSTANT,
                    "requests": NUMBER,
                    "answered_by_status": TEXT,
                    **_numbers(
                        "retries api_seconds rows_new rows_changed rows_unchanged rows_withdrawn "
                        "entities_skipped"
                    ),
                },
            ),
        )
    }
)
