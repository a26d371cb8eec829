"""The reference's workflows as operators: data of a component known by its node id, lifetime energy, the hierarchy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, TaskGroup

from locus_stem import pools
from locus_stem.api.parameter import numeric_id
from locus_stem.hooks.locus import LocusHook
from locus_stem.operators.endpoint import (
    LocusEndpointOperator,
    VendorOperator,
    checked_names,
    refused_arguments,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from locus_stem.api.client import LocusClient

#: As the reference has it: workflows/get-lifetime-energy-component.
_BEFORE_ANY_PLANT = "2000-01-01T00:00:00"


class _ComponentOperator(VendorOperator):
    """Ask what components have, then for it."""

    default_conn_id = LocusHook.default_conn_name
    vendor_pool = pools.LOCUS

    def hook(self) -> LocusHook:
        """Give the connection's hook."""
        return LocusHook(self.conn_id or self.default_conn_id)

    def _chosen(self, **given: Any) -> tuple[str, Any]:
        """Give the one of some arguments that is not empty.

        :raises ValueError: none is given, or several are, or an id is no number.
        """
        chosen = [(name, value) for name, value in given.items() if value is not None and value != ""]
        if len(chosen) != 1:
            shown = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise ValueError(f"{shown} is refused; allowed: exactly one of {', '.join(given)}")
        name, value = chosen[0]
        if name == "component_node_id":
            return name, str(value)
        if (number := numeric_id(value)) is None:
            raise ValueError(f"{name}: {value!r} is refused; allowed: a whole number above 0")
        return name, number

    def _component(self, client: LocusClient, name: str, value: Any) -> int:
        from locus_stem.pipelines.component_data import component_of_node

        return (
            component_of_node(client, self.hook().partner_id, value)
            if name == "component_node_id"
            else int(value)
        )


class LocusComponentDataOperator(_ComponentOperator):
    """Get the data of a component that is known by its node id or its id, or of all components of a site.

    What fields there are is asked first. Of a site, components that measure nothing, that lack the fields or that the
    API refuses are left out, which the log says. Rows hold ``id``, ``ts`` (the interval's first instant) and the fields
    that have a value. References: workflows/get-data-component, workflows/workflows.

    :param component_node_id: node id of a component, also known as MAC id (templated); ``%`` is a wildcard, one
        component must fit.
    :param component_id: instead (templated).
    :param site_id: instead, for all its components (templated).
    :param gran: length of the intervals, ``hourly``, or ``latest`` (templated).
    :param start: first instant of the period, ``YYYY-MM-DDThh:mm:ss`` in `tz` (templated).
    :param end: end of the period (templated); a second before it is safe whether the API takes it as inclusive or not.
    :param tz: IANA name of the zone of `start`, `end` and ``ts`` (templated).
    :param fields: short names, a list or one text with commas (templated); default: all that are measured.
    """

    template_fields: Sequence[str] = (
        *VendorOperator.template_fields,
        *("component_node_id", "component_id", "site_id", "gran", "start", "end", "tz", "fields"),
    )

    def __init__(
        self,
        *,
        gran: str,
        component_node_id: str | None = None,
        component_id: int | str | None = None,
        site_id: int | str | None = None,
        start: str | None = None,
        end: str | None = None,
        tz: str = "UTC",
        fields: Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gran = gran
        self.component_node_id = component_node_id
        self.component_id = component_id
        self.site_id = site_id
        self.start = start
        self.end = end
        self.tz = tz
        self.fields = fields

    def ask(self, context: Context) -> list[dict[str, Any]]:  # noqa: ARG002
        """Find the components, ask what they have, and then for it."""
        from locus_stem.pipelines.component_data import Asked, data_of_components, measuring_components

        with refused_arguments():
            name, value = self._chosen(
                component_node_id=self.component_node_id, component_id=self.component_id, site_id=self.site_id
            )
            fields = checked_names("fields", self.fields) if self.fields else None
            asked = Asked(self.gran, self.start or None, self.end or None, self.tz, fields)
            asked.check()
        with self.hook().get_conn() as client:
            if name == "site_id":
                components = measuring_components(client, value)
            else:
                components = [self._component(client, name, value)]
            return data_of_components(client, components, asked)


class LocusLifetimeEnergyOperator(_ComponentOperator):
    """Add up the energy that a component has produced in all its years, with one data request by year.

    Returns ``component_id``, ``field``, ``total`` (Wh; null where no year has a value) and ``years``, each with ``ts``
    and the field. Reference: workflows/get-lifetime-energy-component.

    :param component_node_id: node id of the component, also known as MAC id (templated).
    :param component_id: instead (templated).
    :param field: short name of the energy (templated).
    :param start: before the component came online, ``YYYY-MM-DDThh:mm:ss`` (templated); the end is now.
    :param tz: IANA name of the zone in which years begin (templated).
    """

    template_fields: Sequence[str] = (
        *VendorOperator.template_fields,
        *("component_node_id", "component_id", "field", "start", "tz"),
    )

    def __init__(
        self,
        *,
        component_node_id: str | None = None,
        component_id: int | str | None = None,
        field: str = "Wh_sum",
        start: str = _BEFORE_ANY_PLANT,
        tz: str = "UTC",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.component_node_id = component_node_id
        self.component_id = component_id
        self.field = field
        self.start = start
        self.tz = tz

    def ask(self, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """Ask whether the component has the energy by year, and then for it."""
        from datetime import UTC, datetime

        from locus_stem.pipelines.component_data import Asked, lifetime_energy
        from locus_stem.planning.zones import canonical_zone

        now = datetime.now(UTC)
        with refused_arguments():
            name, value = self._chosen(
                component_node_id=self.component_node_id, component_id=self.component_id
            )
            zone = canonical_zone(self.tz)
            if zone is None:
                raise ValueError(f"tz: {self.tz!r} is refused; allowed: the IANA name of a zone")
            wall = now.replace(tzinfo=None, microsecond=0)
            Asked("yearly", self.start, wall, zone, checked_names("field", [self.field])).check()
        with self.hook().get_conn() as client:
            component_id = self._component(client, name, value)
            return lifetime_energy(client, component_id, now=now, tz=zone, start=self.start, field=self.field)


def locus_hierarchy_data(
    group_id: str = "locus_hierarchy",
    *,
    folder: str,
    gran: str,
    start: str | None = None,
    end: str | None = None,
    tz: str = "UTC",
    fields: Sequence[str] | str | None = None,
    conn_id: str | None = None,
    pool: str | None = None,
) -> TaskGroup:
    """Make a task group that goes from the partner to its sites, to their components, to their data.

    The task ``sites`` lists the partner's sites; the mapped task ``data`` then asks, a task a site, for the site's
    components, what they have and their data, and writes ``{folder}/{site id}.jsonl``. More sites than Airflow's
    ``[core] max_map_length`` (1024) need that option to be larger. Reference: workflows/workflows.

    :param folder: address of a folder, as ``airflow.sdk.ObjectStoragePath`` takes it (templated).
    :param gran: see :class:`LocusComponentDataOperator`, as for the other arguments.
    """
    account: dict[str, Any] = {"conn_id": conn_id, "pool": pool}
    account = {name: value for name, value in account.items() if value is not None}
    with TaskGroup(group_id) as group:
        sites = LocusEndpointOperator(
            task_id="sites", endpoint="get_partner_sites", keys=["id"], max_xcom_bytes=2**20, **account
        )
        LocusComponentDataOperator.partial(
            task_id="data",
            path=f"{folder.rstrip('/')}/{{{{ task.site_id }}}}.jsonl",
            gran=gran,
            start=start,
            end=end,
            tz=tz,
            fields=fields,
            map_index_template="{{ task.site_id }}",
            **account,
        ).expand(site_id=sites.output.map(_id_of))
    return group


def _id_of(listed: dict[str, Any]) -> Any:
    if (site_id := numeric_id(listed.get("id"))) is None:
        raise AirflowSkipException("the API lists a site without a usable id; it is left out")
    return site_id
