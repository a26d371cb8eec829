"""Locus objects: clients, sites, components and what data they have (reference: pages of these names)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from locus_stem.sandbox import entities, unknown
from locus_stem.sandbox.catalogue import BULK
from locus_stem.sandbox.query import parameters
from locus_stem.sandbox.reply import Refusal, Reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from locus_stem.sandbox.entities import Component
    from locus_stem.sandbox.fleet import Fleet
    from locus_stem.sandbox.options import Options
    from locus_stem.sandbox.query import Pairs

_ODD_CASE = re.compile(r"_(\w)")


def listed(key: str, objects: Iterable[dict[str, Any]]) -> Reply:
    """Answer a list under its key."""
    return Reply.of({"statusCode": 200, key: list(objects)})


def single(found: dict[str, Any]) -> Reply:
    """Answer one object."""
    return Reply.of({"statusCode": 200, **found})


def site_as_answered(fleet: Fleet, options: Options, site_id: int) -> dict[str, Any]:
    """Return a site object, its zone in odd case where the option asks for it."""
    found = fleet.site_object(site_id)
    if options.zone_case and site_id % 3 != 0 and "locationTimezone" in found:
        found["locationTimezone"] = _ODD_CASE.sub(
            lambda match: "_" + match[1].lower(), found["locationTimezone"]
        )
    return found


def sites(fleet: Fleet, options: Options, site_ids: Iterable[int]) -> Reply:
    """Answer a list of sites, each with a statusCode of its own as in the reference's examples."""
    return listed(
        "sites", ({"statusCode": 200, **site_as_answered(fleet, options, number)} for number in site_ids)
    )


def components(fleet: Fleet, found: Iterable[Component]) -> Reply:
    """Answer a list of components."""
    return listed("components", (fleet.component_object(component.id) for component in found))


def partner_components(fleet: Fleet, pairs: Pairs) -> Reply:
    """Answer a partner's components; % in nodeId and notes is a wildcard."""
    found = parameters(pairs, optional=("nodeId", "notes"))
    answered: Iterable[Component] = fleet.all_components()
    for name, key in (("nodeId", "nodeId"), ("notes", "description")):
        if name in found:
            pattern = _like(found[name])
            answered = [
                component
                for component in answered
                if pattern.fullmatch(str(entities.component_object(component).get(key, "")))
            ]
    return components(fleet, answered)


def _like(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("%"))))


def bulk_data_available(fleet: Fleet) -> Reply:
    """Answer what bulk data offers."""
    return listed("baseFields", [unknown.extended(item, 0) for item in BULK] if fleet.unknown else BULK)


def without_parameters(pairs: Pairs) -> None:
    """Refuse any query parameter."""
    parameters(pairs)


def number_of(text: str) -> int:
    """Read an id of a path; what isn't a number isn't there."""
    if not text.isascii() or not text.isdigit():
        raise Refusal(404)
    return int(text)
