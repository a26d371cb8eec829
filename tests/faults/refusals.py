"""Refusals of some entities or fields: they keep what they had, the rest is exact, and the report names them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from faults.jobs import Backfill, ComponentBackfill, Inventory, MonthlyBulk, Setting, StemBackfill, share
from locus_stem.demo import compare, compare_stem
from locus_stem.pipelines.report import REFUSED_SHARE
from locus_stem.sandbox.options import Fault
from support.bulk import ALL
from support.plant import NOW

if TYPE_CHECKING:
    from locus_stem.demo.compare import Difference
    from locus_stem.sandbox.fleet import Fleet

#: So many sites that a twentieth of the entities is a whole number of them.
SITES = {Backfill: 21, ComponentBackfill: 5, Inventory: 6, StemBackfill: 20, MonthlyBulk: 8}
#: Many requests a zone, so that the search for what is refused is seen beside what is asked for anyway.
MONTHS = date(2019, 10, 1), date(2025, 10, 1)
FROM, UNTIL = datetime(2025, 10, 1, tzinfo=UTC), NOW + timedelta(days=2)


class Refused:
    """A world whose values have changed since they were loaded, and an API that refuses some of them from then on.

    :param rate: share of the entities, or of the fields, that is refused.
    """

    def __init__(self, kind: str, rate: float, world: Any) -> None:
        self.kind, self.world = kind, world
        self.by_field = kind == "bad-field"
        self.before: Fleet = world.fleet.at(NOW)
        #: What the tables are to be equal to: values that are refused are as they were.
        self.expected: Fleet = world.fleet.at(NOW)
        self.all = self._fields() if self.by_field else self._entities()
        self.refused = share(self.all, rate)
        self.fields = {name for one in self.refused for name in one[1]} if self.by_field else set()

    def begin(self) -> None:
        """Load, revise every value, and refuse."""
        failure = self.world.run()
        assert failure is None, failure
        self._revise()
        targets = sorted(self.fields) if self.by_field else self.refused
        self.world.again(*(Fault(self.kind, target=str(target)) for target in targets))

    def _entities(self) -> list[Any]:
        fleet = self.before
        if isinstance(self.world, StemBackfill):
            return list(fleet.stem.site_ids)
        components = [one.id for one in fleet.all_components() if one.node_type != "TRANSFORMER"]
        if isinstance(self.world, Inventory):
            return [*fleet.site_ids, *components]
        level = self.world.level
        chosen = components if level == "component" else fleet.site_ids
        return [one for one in chosen if compare.measured(fleet, level, one, "hourly")]

    def _fields(self) -> list[tuple[str, tuple[str, ...]]]:
        """Base fields with their short names: what is revised, and what is refused."""
        if isinstance(self.world, MonthlyBulk):
            return [(name, (name,)) for name in ALL]
        level = self.world.level
        found: dict[str, dict[str, None]] = {}
        for entity_id in self._entities():
            entity = self.before.entity(level, entity_id)
            for name, base in entity.fields.items():
                if base.source == "Measured" and "hourly" in base.granularities:
                    found.setdefault(name, {}).update(dict.fromkeys(base.short_names))
        return [(name, tuple(names)) for name, names in found.items()]

    def _revise(self) -> None:
        if isinstance(self.world, Inventory):
            return
        fleet, level = self.world.fleet, getattr(self.world, "level", "site")
        if isinstance(self.world, MonthlyBulk):
            for site_id in fleet.site_ids:
                if fleet.components(site_id):
                    for one in (fleet, self.expected):
                        one.revise("site", site_id, datetime(2024, 1, 1, tzinfo=UTC), UNTIL)
            return
        kind = "stem_site" if isinstance(self.world, StemBackfill) else level
        bad = {name for name, _ in self.refused} if self.by_field else set()
        for entity_id in self._entities():
            fleet.revise(kind, entity_id, FROM, UNTIL)
            if self.by_field:
                known = fleet.entity(level, entity_id).fields
                kept = [name for name, one in known.items() if one.source == "Measured" and name not in bad]
                if kept:
                    self.expected.revise(kind, entity_id, FROM, UNTIL, fields=kept)
            elif entity_id not in self.refused:
                self.expected.revise(kind, entity_id, FROM, UNTIL)

    # -- after the run

    def differences(self) -> list[Difference]:
        """Hold the tables against what they are to be; `coverage` says of all that is refused that it is."""
        world, lake = self.world, self.world.lake
        if isinstance(world, Inventory):
            return world.differences(self.expected)
        if isinstance(world, MonthlyBulk):
            months = [world.months]
            return [
                compare.bulk(lake, self.expected, months, ALL, (self.before, self.fields)),
                compare.bulk_coverage(lake, self.expected, months, ALL, self.fields),
                world.counted(),
            ]
        if isinstance(world, StemBackfill):
            return [
                compare_stem.streams(lake, self.expected, [world.span()]),
                compare_stem.coverage(lake, self.expected, [world.span()], self.refused),
                world.counted(),
            ]
        refused = set(map(str, self.refused)) if not self.by_field else set()
        return [
            *compare.measurements(lake, self.expected, [world.span()]),
            compare.coverage(
                lake,
                self.expected,
                [world.span()],
                lambda entity, field: entity in refused or field in self.fields,
            ),
            world.counted(),
        ]

    def problems(self, failure: str | None) -> list[str]:
        """Say what of the run's verdict and report is not as it should be."""
        found = []
        text = self.world.told()
        named = sorted(self.fields) if self.by_field else list(map(str, self.refused))
        found += [f"the report doesn't name {one}" for one in named if one not in text]
        fails = (
            not self.by_field
            and not isinstance(self.world, Inventory)
            and len(self.refused) / len(self.all) > REFUSED_SHARE
        )
        due = f"refused {len(self.refused)} of {len(self.all)}"
        if fails and due not in (failure or ""):
            found.append(f"the run's failure is {failure!r}, not that the API {due}")
        if not fails and failure is not None:
            found.append(f"the run failed: {failure}")
        return found

    def injected(self) -> int:
        """Count the refusals."""
        return sum(served.status in {400, 403, 404} for served in self.world.server.log)


def setting(world: type, options: dict[str, Any]) -> Setting:
    """Give the setting of a pipeline's world, large enough for a twentieth of its entities."""
    params = {"months": MONTHS} if world is MonthlyBulk else {}
    return Setting(options, params=params, sites=SITES[world])
