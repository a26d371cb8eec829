"""The 20 Locus endpoints: which function answers which, and whose entities may be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from locus_stem.api.locus import LOCUS_ENDPOINTS
from locus_stem.sandbox import locus_alerts, locus_data, locus_objects
from locus_stem.sandbox.fleet import FOREIGN_CLIENT, FOREIGN_COMPONENT, FOREIGN_PARTNER, FOREIGN_SITE
from locus_stem.sandbox.locus_objects import listed, number_of, single, without_parameters
from locus_stem.sandbox.reply import Refusal, Reply
from locus_stem.sandbox.router import Router

if TYPE_CHECKING:
    from locus_stem.sandbox.fleet import EntityType, Fleet
    from locus_stem.sandbox.options import Options
    from locus_stem.sandbox.query import Pairs

Route = Callable[[int, "Pairs"], Reply]


class LocusRoutes:
    """Answers to authenticated Locus requests."""

    def __init__(self, fleet: Fleet, options: Options) -> None:
        self.fleet = fleet
        self.options = options
        self.router = Router(LOCUS_ENDPOINTS)
        self._refused = {
            kind: {fault.target for fault in options.faults if fault.kind == kind}
            for kind in ("forbidden", "gone", "bad-request", "bad-field")
        }

    def answer(self, path: str, pairs: Pairs) -> Reply:
        """Answer a request; Refusal where it isn't allowed."""
        found = self.router.find(path)
        if found is None:
            raise Refusal(404)
        endpoint, ids = found
        entity_id = number_of(next(iter(ids.values())))
        kind = next(iter(ids)).removesuffix("_id")
        is_data = endpoint.answer_key == "data"
        self._check_faults(str(entity_id), pairs, is_data=is_data)
        self._check_seen(kind, entity_id)
        if not is_data and endpoint.answer_key != "alerts" and endpoint.name != "get_partner_components":
            without_parameters(pairs)
        route: Route = getattr(self, endpoint.name)
        return route(entity_id, pairs)

    def _check_faults(self, entity_id: str, pairs: Pairs, *, is_data: bool) -> None:
        if entity_id in self._refused["forbidden"]:
            raise Refusal(403)
        if entity_id in self._refused["gone"]:
            raise Refusal(404)
        if is_data:
            if {entity_id, f"{entity_id}@{dict(pairs).get('start')}"} & self._refused["bad-request"]:
                raise Refusal(400)
            for name in self._refused["bad-field"].intersection(dict(pairs).get("fields", "").split(",")):
                raise Refusal(400, f"Field not available: {name}")

    def _check_seen(self, kind: str, entity_id: int) -> None:
        foreign = {
            "partner": FOREIGN_PARTNER,
            "client": FOREIGN_CLIENT,
            "site": FOREIGN_SITE,
            "component": FOREIGN_COMPONENT,
        }
        known = {
            "partner": lambda: entity_id == self.fleet.partner_id,
            "client": lambda: entity_id in self.fleet.client_ids,
            "site": lambda: entity_id in self.fleet.site_ids,
            "component": lambda: self._has_component(entity_id),
        }
        if not known[kind]():
            raise Refusal(403 if entity_id == foreign[kind] else 404)

    def _has_component(self, component_id: int) -> bool:
        try:
            self.fleet.component(component_id)
        except KeyError:
            return False
        return True

    # -- components

    def get_component(self, component_id: int, _: Pairs) -> Reply:  # noqa: D102
        return single(self.fleet.component_object(component_id))

    def get_site_components(self, site_id: int, _: Pairs) -> Reply:  # noqa: D102
        return locus_objects.components(self.fleet, self.fleet.components(site_id))

    def get_client_components(self, client_id: int, _: Pairs) -> Reply:  # noqa: D102
        return locus_objects.components(
            self.fleet,
            (
                component
                for site_id in self.fleet.client_site_ids(client_id)
                for component in self.fleet.components(site_id)
            ),
        )

    def get_partner_components(self, _: int, pairs: Pairs) -> Reply:  # noqa: D102
        return locus_objects.partner_components(self.fleet, pairs)

    # -- sites

    def get_site(self, site_id: int, _: Pairs) -> Reply:  # noqa: D102
        return single(locus_objects.site_as_answered(self.fleet, self.options, site_id))

    def get_client_sites(self, client_id: int, _: Pairs) -> Reply:  # noqa: D102
        return locus_objects.sites(self.fleet, self.options, self.fleet.client_site_ids(client_id))

    def get_partner_sites(self, _: int, __: Pairs) -> Reply:  # noqa: D102
        return locus_objects.sites(self.fleet, self.options, self.fleet.site_ids)

    def get_installinfo(self, site_id: int, _: Pairs) -> Reply:  # noqa: D102
        return single(self.fleet.install_info(site_id))

    def get_modelsettings(self, site_id: int, _: Pairs) -> Reply:  # noqa: D102
        return single(self.fleet.model_settings(site_id))

    # -- clients

    def get_client(self, client_id: int, _: Pairs) -> Reply:  # noqa: D102
        return single(self.fleet.client_object(client_id))

    def get_partner_clients(self, _: int, __: Pairs) -> Reply:  # noqa: D102
        return listed("clients", map(self.fleet.client_object, self.fleet.client_ids))

    # -- dataavailable and data

    def get_component_dataavailable(self, component_id: int, _: Pairs) -> Reply:  # noqa: D102
        return listed("baseFields", self.fleet.data_available("component", component_id))

    def get_site_dataavailable(self, site_id: int, _: Pairs) -> Reply:  # noqa: D102
        return listed("baseFields", self.fleet.data_available("site", site_id))

    def get_site_bulk_dataavailable(self, _: int, __: Pairs) -> Reply:  # noqa: D102
        return locus_objects.bulk_data_available(self.fleet)

    def get_component_data(self, component_id: int, pairs: Pairs) -> Reply:  # noqa: D102
        return self._data("component", component_id, pairs)

    def get_site_data(self, site_id: int, pairs: Pairs) -> Reply:  # noqa: D102
        return self._data("site", site_id, pairs)

    def _data(self, entity_type: EntityType, entity_id: int, pairs: Pairs) -> Reply:
        return locus_data.data(self.fleet, self.options, self.fleet.entity(entity_type, entity_id), pairs)

    def get_site_bulk_data(self, _: int, pairs: Pairs) -> Reply:  # noqa: D102
        return locus_data.bulk(self.fleet, self.options, pairs)

    # -- alerts

    def get_partner_alerts(self, _: int, pairs: Pairs) -> Reply:  # noqa: D102
        components = self.fleet.all_components()
        return locus_alerts.alerts(self.fleet, self.options, components, pairs, of_partner=True)

    def get_site_alerts(self, site_id: int, pairs: Pairs) -> Reply:  # noqa: D102
        components = self.fleet.components(site_id)
        return locus_alerts.alerts(self.fleet, self.options, components, pairs, of_partner=False)

    def get_component_alerts(self, component_id: int, pairs: Pairs) -> Reply:  # noqa: D102
        components = [self.fleet.component(component_id)]
        return locus_alerts.alerts(self.fleet, self.options, components, pairs, of_partner=False)
