"""A fleet of any size that both the server and a test, in whatever process, make from the same arguments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from locus_stem.sandbox import entities, truth, unknown
from locus_stem.sandbox.entities import COMPONENTS_A_SITE, FIRST_CLIENT, FIRST_COMPONENT, FIRST_SITE, mix
from locus_stem.sandbox.grid import minute_of, zone_info
from locus_stem.sandbox.recorded import SLOTS_A_DAY, channel
from locus_stem.sandbox.series import Holes, Revision, Series
from locus_stem.sandbox.stem_fleet import StemFleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from locus_stem.sandbox.catalogue import BaseField
    from locus_stem.sandbox.entities import Component, Site
    from locus_stem.sandbox.truth import Row

EntityType = Literal["site", "component"]
Gaps = Literal["missing", "empty"]
FOREIGN_PARTNER, FOREIGN_CLIENT, FOREIGN_SITE, FOREIGN_COMPONENT = 2, 900_001, 9_000_001, 9_900_001
GAP_PERIOD, NULL_PERIOD = 17, 23


@dataclass(frozen=True, slots=True)
class Entity:
    """A site or component as a source of values; minutes since the epoch bound what it has."""

    type: EntityType
    id: int
    site: Site
    rated_watts: float
    fields: dict[str, BaseField]
    short_names: dict[str, tuple[BaseField, str]]
    first_minute: int
    after_minute: int | None
    gap: Holes


class Fleet:
    """Clients, sites, components and their values.

    :param sites: number of sites; nothing is made before it is asked for.
    :param now: returns the present (aware); the real clock where None. An instant stands still.
    :param stem_sites: number of Stem's sites; a quarter of Locus's, at least 6, where None.
    :param gaps: whether an interval without any data has no row, or a row of ``id`` and ``ts`` alone.
    :param unknown: objects hold keys and values too that no reference names; see the module ``unknown``.
    """

    def __init__(
        self,
        sites: int = 24,
        seed: int = 7,
        now: Callable[[], datetime] | datetime | None = None,
        *,
        partner_id: int = 1,
        stem_sites: int | None = None,
        gaps: Gaps = "missing",
        unknown: bool = False,
    ) -> None:
        self.sites = sites
        self.seed = seed
        self.partner_id = partner_id
        self.gaps: Gaps = gaps
        self.unknown = unknown
        self.clients = min(sites, max(3, sites // 25))
        self._now = now
        self.stem = StemFleet(
            max(6, sites // 4) if stem_sites is None else stem_sites, seed, self.now, unknown=unknown
        )
        self._revisions: dict[tuple[EntityType, int], tuple[Revision, ...]] = {}
        self.site = lru_cache(maxsize=4096)(self._site)
        self.entity = lru_cache(maxsize=4096)(self._entity)
        self.series = lru_cache(maxsize=16384)(self._series)

    def now(self) -> datetime:
        """Return the present."""
        if self._now is None:
            return datetime.now(UTC)
        return self._now() if callable(self._now) else self._now

    def set_now(self, now: Callable[[], datetime] | datetime | None) -> None:
        """Change what the present is; see the constructor."""
        self._now = now

    def at(self, moment: datetime) -> Fleet:
        """Return the same fleet with another present, as it is without revisions."""
        return Fleet(
            self.sites,
            self.seed,
            moment,
            partner_id=self.partner_id,
            stem_sites=self.stem.sites,
            gaps=self.gaps,
            unknown=self.unknown,
        )

    # -- who is there

    @property
    def site_ids(self) -> range:
        """Ids of all sites."""
        return range(FIRST_SITE, FIRST_SITE + self.sites)

    @property
    def client_ids(self) -> range:
        """Ids of all clients."""
        return range(FIRST_CLIENT, FIRST_CLIENT + self.clients)

    def client_site_ids(self, client_id: int) -> range:
        """Ids of a client's sites."""
        return range(FIRST_SITE + client_id - FIRST_CLIENT, FIRST_SITE + self.sites, self.clients)

    def _site(self, site_id: int) -> Site:
        if site_id not in self.site_ids:
            raise KeyError(site_id)
        return entities.make_site(site_id - FIRST_SITE, self.clients, self.seed)

    def components(self, site_id: int) -> list[Component]:
        """Return a site's components."""
        site = self.site(site_id)
        return [
            entities.make_component(site, position, self.seed) for position in range(site.component_count)
        ]

    def component(self, component_id: int) -> Component:
        """Return a component; KeyError where there is none."""
        number, position = divmod(component_id - FIRST_COMPONENT, COMPONENTS_A_SITE)
        if not 0 <= number < self.sites:
            raise KeyError(component_id)
        site = self.site(FIRST_SITE + number)
        if position >= site.component_count:
            raise KeyError(component_id)
        return entities.make_component(site, position, self.seed)

    def all_components(self) -> Iterator[Component]:
        """Go through the components of all sites."""
        for site_id in self.site_ids:
            yield from self.components(site_id)

    def zone(self, site_id: int) -> str:
        """Zone of a site's days: its own, else its client's, else UTC."""
        return self.site(site_id).zone

    # -- their values

    def _entity(self, entity_type: EntityType, entity_id: int) -> Entity:
        if entity_type == "site":
            site = self.site(entity_id)
            rated, fields = float(site.rated_watts), entities.site_fields(site)
        else:
            component = self.component(entity_id)
            site, rated, fields = component.site, component.rated_watts, entities.component_fields(component)
        first, after = entities.lifetime(site)
        return Entity(
            type=entity_type,
            id=entity_id,
            site=site,
            rated_watts=rated,
            fields={field.name: field for field in fields},
            short_names={
                short: (field, aggregation)
                for field in fields
                for short, aggregation in field.short_names.items()
            },
            first_minute=first,
            after_minute=after,
            gap=self._holes(GAP_PERIOD, 4, entity_id),
        )

    def _holes(self, period: int, *key: int) -> Holes:
        bits = mix(self.seed, *key)
        first = (bits >> 16) % 80
        return Holes(period, bits % period, first, first + 2 + (bits >> 32) % 14)

    def _series(self, entity_type: EntityType, entity_id: int, base_field: str) -> Series:
        entity = self.entity(entity_type, entity_id)
        source = channel(entity.fields[base_field].channel)
        holes: tuple[Holes, ...] = ()
        revisions: tuple[Revision, ...] = ()
        if entity.fields[base_field].source == "Measured":
            name = int.from_bytes(base_field.encode()[:7], "big")
            holes = (entity.gap, self._holes(NULL_PERIOD, 5, entity_id, name))
            revisions = tuple(
                revision
                for revision in self._revisions.get((entity_type, entity_id), ())
                if revision.base_fields is None or base_field in revision.base_fields
            )
        return Series(
            channel=source,
            cycle_shift=mix(self.seed, 6, entity.site.number) % len(source.days),
            slot_shift=_standard_offset(entity.site.zone),
            holes=holes,
            revisions=revisions,
        )

    def has_row(self, entity: Entity, first: int, after: int) -> bool:
        """Whether in any slot of the minutes [first, after) the entity's measurements arrived."""
        arrived = self.arrivals(entity)
        return any(arrived.has_value(slot) for slot in range(first // 15, -(-after // 15)))

    def arrivals(self, entity: Entity) -> Series:
        """Return a series whose only holes are the whole entity's: its gaps, and what was withdrawn."""
        withdrawn = tuple(
            revision
            for revision in self._revisions.get((entity.type, entity.id), ())
            if revision.permille is None and revision.base_fields is None
        )
        return Series(channel("power"), 0, _standard_offset(entity.site.zone), (entity.gap,), withdrawn)

    def revise(
        self,
        entity_type: EntityType | Literal["stem_site"],
        entity_id: int | str,
        start: datetime,
        end: datetime,
        *,
        factor: float = 1.1,
        withdraw: bool = False,
        fields: list[str] | None = None,
    ) -> None:
        """Change measured values of [start, end), widened to whole 15-minute slots, or withdraw them.

        :param entity_type: ``site`` or ``component`` of Locus, or ``stem_site``.
        :param factor: what the values are multiplied by, to a thousandth.
        :param withdraw: take the values away; without ``fields`` the rows too.
        :param fields: base fields, or stream types, that it concerns; None is all that are measured.
        """
        permille = None if withdraw else round(factor * 1000)
        names = None if fields is None else frozenset(fields)
        if entity_type == "stem_site":
            self.stem.revise(str(entity_id), start, end, permille, names)
            return
        key = (entity_type, int(entity_id))
        unknown = sorted((names or frozenset()) - set(self.entity(*key).fields))
        if unknown:
            raise ValueError(f"{entity_type} {entity_id} has no base field {', '.join(unknown)}")
        revision = Revision(minute_of(start) // 15, -(-minute_of(end) // 15), permille, names)
        self._revisions[key] = (*self._revisions.get(key, ()), revision)
        self.series.cache_clear()

    def forget_revisions(self) -> None:
        """Go back to the values as they first were."""
        self._revisions.clear()
        self.stem.forget_revisions()
        self.series.cache_clear()

    # -- objects, as the API shows them

    def client_object(self, client_id: int) -> dict[str, Any]:
        """Return a client object."""
        if client_id not in self.client_ids:
            raise KeyError(client_id)
        return self._shown(entities.client_object(client_id - FIRST_CLIENT, self.partner_id), client_id)

    def site_object(self, site_id: int) -> dict[str, Any]:
        """Return a site object."""
        return self._shown(entities.site_object(self.site(site_id)), site_id)

    def component_object(self, component_id: int) -> dict[str, Any]:
        """Return a component object."""
        return self._shown(entities.component_object(self.component(component_id)), component_id)

    def install_info(self, site_id: int) -> dict[str, Any]:
        """Return a site's installinfo object."""
        return self._shown(entities.install_info(self.site(site_id)), site_id)

    def model_settings(self, site_id: int) -> dict[str, Any]:
        """Return a site's modelsettings object."""
        return self._shown(entities.model_settings(self.site(site_id)), site_id)

    def _shown(self, found: dict[str, Any], number: int) -> dict[str, Any]:
        return unknown.extended(found, number) if self.unknown else found

    def data_available(self, entity_type: EntityType, entity_id: int) -> list[dict[str, Any]]:
        """Return an entity's base field objects."""
        known = [field.to_object() for field in self.entity(entity_type, entity_id).fields.values()]
        if not self.unknown:
            return known
        return [*(unknown.extended(item, entity_id) for item in known), unknown.BASE_FIELD]

    # -- the truth about rows; see the module truth

    def truth_site_data(
        self,
        site_id: int,
        granularity: str,
        start: datetime,
        end: datetime,
        fields: Sequence[str],
        field_parameters: Mapping[str, str] | None = None,
    ) -> list[Row]:
        """Rows {"ts": UTC instant, field: value or None} of a site's intervals that begin in [start, end)."""
        return truth.entity_rows(
            self, "site", site_id, granularity, start, end, fields, field_parameters or {}
        )

    def truth_component_data(
        self,
        component_id: int,
        granularity: str,
        start: datetime,
        end: datetime,
        fields: Sequence[str],
        field_parameters: Mapping[str, str] | None = None,
    ) -> list[Row]:
        """Rows of a component's intervals, like those of :meth:`truth_site_data`."""
        return truth.entity_rows(
            self, "component", component_id, granularity, start, end, fields, field_parameters or {}
        )

    def truth_bulk(self, start: datetime, end: datetime, zone: str, fields: Sequence[str]) -> list[Row]:
        """Rows {"id", "ts", field} of bulk data: months of the zone that begin in [start, end)."""
        return truth.bulk_rows(self, start, end, zone, fields)

    def truth_alerts(self, component_ids: Iterable[int] | None = None) -> list[dict[str, Any]]:
        """All alerts that there are now, their times as UTC instants; None is of all components."""
        return truth.alert_objects(self, component_ids)

    def truth_stem_streams(
        self, site_id: str, stream_type: str, resolution: int, start: datetime, end: datetime
    ) -> list[Row]:
        """Rows {"start_datetime", "end_datetime", "kw_total_avg"} with start < end_datetime <= end."""
        return truth.stem_rows(self, site_id, stream_type, resolution, start, end)


@lru_cache(maxsize=256)
def _standard_offset(zone_name: str) -> int:
    """Slots by which the zone's winter clock is ahead of UTC."""
    zone = zone_info(zone_name)
    offsets = [datetime(2021, month, 1, tzinfo=zone).utcoffset() or timedelta() for month in (1, 7)]
    return int(min(offsets).total_seconds() // 900) % SLOTS_A_DAY
