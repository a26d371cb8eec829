"""The reference's workflows: what a component has, and then its data (pages workflows/*). No Airflow, no tables."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from locus_stem.api.errors import MalformedAnswerError, RefusedError
from locus_stem.api.locus import LocusEndpoints
from locus_stem.api.parameter import is_short_name, numeric_id
from locus_stem.api.shown import described, shown
from locus_stem.pipelines.rows import UnfitAnswerError, number
from locus_stem.planning.fields import AvailableField, FieldGroup, check_wanted, field_groups
from locus_stem.planning.params import ParamError
from locus_stem.planning.timestamps import parse_instant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from locus_stem.api.client import LocusClient
    from locus_stem.api.endpoint import Call

__all__ = ["Asked", "component_of_node", "data_of_components", "lifetime_energy", "measuring_components"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to ask of each component.

    :param gran: granularity; ``latest`` takes neither start nor end.
    :param start: first instant of the period, wall time in `tz`.
    :param end: end of the period, wall time in `tz`.
    :param fields: short names; None: every field whose source is Measured.
    """

    gran: Any
    start: Any
    end: Any
    tz: Any
    fields: tuple[str, ...] | None

    def check(self) -> None:
        """Refuse what no component could be asked.

        :raises ValueError: names the argument, the value and what is allowed.
        """
        self.call(1, FieldGroup(self.fields or ("any",)))

    def call(self, component_id: int, group: FieldGroup) -> Call:
        """Prepare the request for some of a component's fields."""
        return LocusEndpoints.get_component_data.request(
            component_id=component_id,
            fields=group.fields,
            start=self.start,
            end=self.end,
            tz=self.tz,
            gran=self.gran,
            field_parameters=dict(group.parameters),
        )


def component_of_node(client: LocusClient, partner_id: int, node_id: str) -> int:
    """Find the component with a node id (also known as MAC id).

    :param node_id: ``%`` is a wildcard; exactly one component must fit.
    :raises ParamError: none fits, or several do.
    """
    found = client.get_partner_components(partner_id=partner_id, node_id=node_id)
    exact = [component for component in found if component.get("nodeId") == node_id]
    match exact or found:
        case [component]:
            return _id(component)
        case []:
            raise ParamError(
                "component_node_id", node_id, f"partner {partner_id} has no component with this node id"
            )
        case several:
            names = ", ".join(f"{shown(one.get('nodeId'))} ({shown(one.get('id'))})" for one in several[:5])
            raise ParamError(
                "component_node_id", node_id, f"{len(several)} components have such a node id: {names}"
            )


def measuring_components(client: LocusClient, site_id: int) -> list[int]:
    """List a site's components, without those that are conceptual: they measure nothing."""
    found = client.get_site_components(site_id=site_id)
    return [_id(component) for component in found if not component.get("isConceptualNode")]


def _id(component: Mapping[str, Any]) -> int:
    """Read a listed component's id.

    :raises MalformedAnswerError: it has none.
    """
    given = component.get("id")
    if not isinstance(given, int) or numeric_id(given) is None:
        raise MalformedAnswerError(f"a component is listed with the id {described(given)}")
    return given


def data_of_components(
    client: LocusClient, component_ids: Sequence[int], asked: Asked
) -> list[dict[str, Any]]:
    """Give the rows of some components, as few requests each as their fields' parameters allow.

    Of several components those that the API refuses, or that have none of the fields, are left out, which the log
    says.

    :return: rows by component and time, with ``id``, ``ts`` and the fields that have a value.
    :raises ParamError: none of the components has a field at this granularity.
    :raises RefusedError: the API refuses all of them.
    """
    available: dict[int, tuple[AvailableField, ...]] = {}
    refused: list[RefusedError] = []
    for component_id in component_ids:
        try:
            listed = client.get_component_dataavailable(component_id=component_id)
        except RefusedError as error:
            _left_out(component_id, error, refused)
        else:
            available[component_id] = available_fields(listed)
    if available:
        check_wanted((field for fields in available.values() for field in fields), asked.gran, asked.fields)
    rows: list[dict[str, Any]] = []
    answered = 0
    for component_id, fields in available.items():
        groups = field_groups(fields, asked.gran, asked.fields)
        if not groups:
            log.info("Component %d is left out: it has none of the fields at %s", component_id, asked.gran)
            continue
        try:
            rows += _merged([client.call(asked.call(component_id, group)) for group in groups])
            answered += 1
        except RefusedError as error:
            _left_out(component_id, error, refused)
    if refused and not answered:
        raise refused[0]
    return rows


def lifetime_energy(
    client: LocusClient, component_id: int, *, now: datetime, tz: str, start: str, field: str
) -> dict[str, Any]:
    """Add up a component's energy over all years, with two requests.

    :param now: aware; the end of the period.
    :return: ``component_id``, ``field``, ``total`` (None where no year has a value) and ``years``: rows with ``ts`` and
        the field. The last year is as long as it has lasted.
    :raises ParamError: the component doesn't have the field by year.
    """
    end = now.astimezone(ZoneInfo(tz)).replace(tzinfo=None, microsecond=0)
    rows = data_of_components(client, [component_id], Asked("yearly", start, end, tz, (field,)))
    years = [{"ts": row.get("ts"), field: row[field]} for row in rows if row.get(field) is not None]
    for year in years:
        _instant(year)
    total = sum(_energy(year[field], field) for year in years) if years else None
    if total is not None and not math.isfinite(total):
        raise MalformedAnswerError(f"the years' {field} add up to more than a number can be")
    return {"component_id": component_id, "field": field, "total": total, "years": years}


def _energy(value: object, field: str) -> float:
    try:
        return number(value, field) or 0.0
    except UnfitAnswerError as error:
        raise MalformedAnswerError(str(error)) from error


def available_fields(base_fields: Sequence[Mapping[str, Any]]) -> tuple[AvailableField, ...]:
    """Read what ``dataavailable`` answered; ``latest``, which it may not list, holds for every field."""
    return tuple(
        AvailableField.from_row(
            {
                "short_name": aggregation["shortName"],
                "source": str(base_field.get("source")),
                "granularities": [*map(str, _listed(base_field, "granularities")), "latest"],
                "field_parameters": json.dumps(base_field.get("fieldParameters") or []),
            }
        )
        for base_field in base_fields
        for aggregation in _listed(base_field, "aggregations")
        if isinstance(aggregation, dict) and is_short_name(aggregation.get("shortName"))
    )


def _listed(base_field: Mapping[str, Any], name: str) -> list[Any]:
    value = base_field.get(name)
    return value if isinstance(value, list) else []


def _left_out(component_id: int, error: RefusedError, refused: list[RefusedError]) -> None:
    log.warning("Component %d is left out: %s", component_id, error)
    refused.append(error)


def _merged(answers: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Put rows of one instant together: fields that need other parameters come in answers of their own."""
    if len(answers) == 1:
        return list(answers[0])
    rows: dict[datetime, dict[str, Any]] = {}
    for answer in answers:
        for row in answer:
            rows.setdefault(_instant(row), {}).update(row)
    return [rows[at] for at in sorted(rows)]


def _instant(row: Mapping[str, Any]) -> datetime:
    try:
        return parse_instant(row.get("ts") or "")
    except (TypeError, ValueError) as error:
        raise MalformedAnswerError(f"a data row has the ts {described(row.get('ts'))}") from error
