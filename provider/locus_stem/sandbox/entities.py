"""Who owns what: partners, clients, sites and components, each made from its number alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from locus_stem.sandbox import catalogue
from locus_stem.sandbox.grid import first_minute, zone_info

if TYPE_CHECKING:
    from locus_stem.sandbox.catalogue import BaseField

FIRST_CLIENT, FIRST_SITE, FIRST_COMPONENT = 400_001, 3_000_001, 6_000_001
COMPONENTS_A_SITE = 16
MAIN_ZONES = ("America/Los_Angeles", "America/New_York", "Europe/Berlin", "Asia/Kolkata")
MORE_ZONES = (
    "America/Denver", "Europe/London", "Australia/Sydney", "America/Sao_Paulo", "America/St_Johns",
    "Asia/Kathmandu", "Pacific/Auckland", "America/Phoenix",
)  # fmt: skip
CLIENT_ZONES = ("US/Pacific", "US/Eastern", None, "Europe/Berlin", "Asia/Kolkata", "US/Central")
_PLACES = {
    "America/Los_Angeles": ("657 Mission St", "San Francisco", "California", "CA", "94105", "US"),
    "America/New_York": ("2 Hudson Place", "Hoboken", "New Jersey", "NJ", "07030", "US"),
    "Europe/Berlin": ("Sonnenallee 4", "Berlin", "Berlin", "BE", "12047", "DE"),
    "Asia/Kolkata": ("12 MG Road", "Bengaluru", "Karnataka", "KA", "560001", "IN"),
}
_MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """Return 64 well-mixed bits of some numbers: the fleet's only source of variety."""
    state = 0x243F6A8885A308D3
    for number in numbers:
        state = ((state ^ (number & _MASK)) * 0x9E3779B97F4A7C15) & _MASK
        state ^= state >> 29
        state = (state * 0xBF58476D1CE4E5B9) & _MASK
        state ^= state >> 32
    return state


@dataclass(frozen=True, slots=True)
class Site:
    """A site. ``zone`` is what its days go by: its own, else its client's, else UTC."""

    id: int
    number: int
    client_id: int
    location_zone: str | None
    zone: str
    rated_watts: int
    installed: date
    started: date | None
    uninstalled: date | None
    inverters: int
    weather_station: bool
    conceptual: bool
    has_address: bool

    @property
    def name(self) -> str:
        """Name as the API shows it."""
        return f"Sandbox Site {self.number + 1}"

    @property
    def component_count(self) -> int:
        """Meter, inverters, weather station, conceptual node; none at all on some sites."""
        return 1 + self.inverters + self.weather_station + self.conceptual if self.inverters else 0


@dataclass(frozen=True, slots=True)
class Component:
    """A component of a site; ``position`` counts from the meter, 0."""

    id: int
    site: Site
    position: int
    node_type: str
    rated_watts: float

    @property
    def name(self) -> str:
        """Name as the API shows it."""
        names = {"METER": "PV Meter", "WEATHER_STATION": "Weather Station", "TRANSFORMER": "Transformer"}
        return names.get(self.node_type, f"Inverter {self.position}")


def make_site(number: int, clients: int, seed: int) -> Site:
    """Make site ``number`` of a fleet."""
    client = number % clients
    client_zone = CLIENT_ZONES[client % len(CLIENT_ZONES)]
    zone: str | None = MAIN_ZONES[number % 4] if number < 16 or number % 2 else MORE_ZONES[(number // 2) % 8]
    if number % 7 == 5:
        zone = None
    bits = mix(seed, 1, number)
    installed = date(2019, 1, 1) + timedelta(days=bits % 1600)
    bare = number % 12 == 7
    return Site(
        id=FIRST_SITE + number,
        number=number,
        client_id=FIRST_CLIENT + client,
        location_zone=zone,
        zone=zone or client_zone or "UTC",
        rated_watts=100_000 + 500 * ((bits >> 16) % 4000),
        installed=installed,
        started=None if number % 9 == 4 else installed + timedelta(days=(bits >> 32) % 40),
        uninstalled=installed + timedelta(days=1000) if number % 31 == 29 else None,
        inverters=0 if bare else 1 + (bits >> 40) % 4,
        weather_station=not bare and number % 3 != 1,
        conceptual=not bare and number % 2 == 0,
        has_address=number % 10 != 8,
    )


def make_component(site: Site, position: int, seed: int) -> Component:
    """Make a site's component ``position``."""
    rated = float(site.rated_watts)
    if position == 0:
        node_type = "METER"
    elif position <= site.inverters:
        node_type, rated = (
            "INVERTER",
            rated / site.inverters * (0.97 + 0.06 * (mix(seed, 2, position) % 100) / 100),
        )
    elif position == site.inverters + 1 and site.weather_station:
        node_type = "WEATHER_STATION"
    else:
        node_type = "TRANSFORMER"
    return Component(
        id=FIRST_COMPONENT + COMPONENTS_A_SITE * site.number + position,
        site=site,
        position=position,
        node_type=node_type,
        rated_watts=round(rated, 1),
    )


def site_fields(site: Site) -> tuple[BaseField, ...]:
    """Return a site's base fields: modeled power needs a weather station, measurements need components."""
    if not site.inverters:
        return (catalogue.GHI, catalogue.GHI_SUM)
    fields: tuple[BaseField, ...] = catalogue.SITE
    if not site.weather_station:
        fields = tuple(field for field in fields if not field.parameters)
    if site.number % 5 == 3:
        fields = tuple(
            replace(field, granularities=catalogue.FROM_15MIN) if field.source == "Measured" else field
            for field in fields
        )
    return fields


def component_fields(component: Component) -> tuple[BaseField, ...]:
    """Return the base fields of a component: none of a conceptual one."""
    if component.node_type == "METER":
        return catalogue.METER
    if component.node_type == "INVERTER":
        fields = catalogue.INVERTER
        return fields if component.site.weather_station else fields[:5]
    return catalogue.WEATHER_STATION if component.node_type == "WEATHER_STATION" else ()


def client_object(number: int, partner_id: int) -> dict[str, Any]:
    """Return a client object."""
    zone = CLIENT_ZONES[number % len(CLIENT_ZONES)]
    found: dict[str, Any] = {"id": FIRST_CLIENT + number, "partnerId": partner_id}
    if zone:
        found["tz"] = zone
    return found | {
        "firstName": "Test",
        "lastName": f"System {number + 1}",
        "email": f"client{number + 1}@example.com",
    }


def site_object(site: Site) -> dict[str, Any]:
    """Return a site object, zone names in their own spelling."""
    place = _PLACES.get(site.zone, ("1 Solar Way", "Sunville", "Somewhere", "SW", "00001", "ZZ"))
    street, city, state, code, postal, country = place if site.has_address else ("", "", "", "", "", place[5])
    found: dict[str, Any] = {
        "id": site.id,
        "clientId": site.client_id,
        "name": site.name,
        "address1": street,
        "address2": "",
        "locale3": city,
        "locale1": state,
        "localeCode1": code,
        "postalCode": postal,
        "countryCode": country,
    }
    if site.has_address and site.number % 4 != 3:
        bits = mix(3, site.number)
        found |= {
            "latitude": round(20 + bits % 4000 / 100, 4),
            "longitude": round((bits >> 20) % 18000 / 100 - 90, 4),
        }
    if site.location_zone:
        found["locationTimezone"] = site.location_zone
    return found


def component_object(component: Component) -> dict[str, Any]:
    """Return a component object."""
    site = component.site
    under_meter = component.node_type == "INVERTER"
    makers = {
        "METER": ("Locus Energy", "LGate 120"),
        "INVERTER": ("Advanced Energy", "AE 500NX 480V"),
        "WEATHER_STATION": ("Lufft", "WS501"),
        "TRANSFORMER": ("Generic", "Transformer"),
    }
    oem, model = makers[component.node_type]
    found: dict[str, Any] = {
        "id": component.id,
        "siteId": site.id,
        "clientId": site.client_id,
        "parentId": component.id - component.position if under_meter else site.id,
        "parentType": "COMPONENT" if under_meter else "SITE",
        "nodeId": f"SB.{site.number:08X}.{component.position}",
        "name": component.name,
        "nodeType": component.node_type,
        "application": "GENERATION",
        "generationType": "SOLAR",
        "oem": oem,
        "model": model,
        "isConceptualNode": component.node_type == "TRANSFORMER",
    }
    if component.position % 2 == 0:
        found["serialNumber"] = f"SN{component.id}"
    if component.node_type == "METER":
        found["description"] = "This is a revenue grade meter"
    return found


def install_info(site: Site) -> dict[str, Any]:
    """Return an installinfo object."""
    found = {"installer": "ABC Solar", "installDate": site.installed.isoformat()}
    if site.number % 3 == 0:
        found["installCrew"] = "Crew 7"
    if site.started:
        found |= {"ptoDate": site.started.isoformat(), "startupDate": site.started.isoformat()}
    if site.uninstalled:
        found["uninstallDate"] = site.uninstalled.isoformat()
    return found


def model_settings(site: Site) -> dict[str, Any]:
    """Return a modelsettings object; the size is in kW."""
    found: dict[str, Any] = {"size": site.rated_watts / 1000} if site.inverters else {}
    found |= {
        "mismatch": 98,
        "diodesAndConnections": 99,
        "dcWiring": 98,
        "soiling": 95,
        "sunTracking": 100,
        "nameplate": 100,
        "acWiring": 99,
        "transformer": 100,
    }
    if site.has_address:
        found["tmy3Id"] = 724095
    return found


def lifetime(site: Site) -> tuple[int, int | None]:
    """Minutes between which the site has data: its days of installation and removal, in its zone."""
    zone = zone_info(site.zone)
    assert zone is not None  # noqa: S101  # the zones above are IANA names
    return first_minute(site.installed, zone), first_minute(
        site.uninstalled, zone
    ) if site.uninstalled else None
