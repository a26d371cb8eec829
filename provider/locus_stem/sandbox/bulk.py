"""Months of all sites, prorated as the reference's additional notes say (data/get-site-bulk-data)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locus_stem.sandbox.catalogue import value_of
from locus_stem.sandbox.grid import first_minute, zone_info

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from locus_stem.sandbox.fleet import Entity, Fleet

_SUMMED = ("Wh", "Wh_e", "GHIh_m")


def bulk_columns(
    fleet: Fleet, months: Sequence[tuple[int, int]], fields: Sequence[str]
) -> Iterator[tuple[int, list[int], list[list[float | None]]]]:
    """Give, for each site with components, its id, the indexes of its months, and the fields' values."""
    present = int(fleet.now().timestamp() // 60)
    for site_id in fleet.site_ids:
        if not fleet.site(site_id).inverters:
            continue
        entity = fleet.entity("site", site_id)
        high = present if entity.after_minute is None else min(present, entity.after_minute)
        begun = [
            index
            for index, (first, after) in enumerate(months)
            if first < high and after > entity.first_minute
        ]
        source = _SiteMonths(fleet, entity, high)
        values = [source.month(*months[index]) for index in begun]
        yield site_id, begun, [[month[name] for month in values] for name in fields]


class _SiteMonths:
    """Bulk fields of one site; prorated ones begin at the startup date, if there is one."""

    def __init__(self, fleet: Fleet, entity: Entity, high: int) -> None:
        zone = zone_info(entity.site.zone)
        assert zone is not None  # noqa: S101  # a site's zone is an IANA name
        self.entity = entity
        self.high = high
        self.startup = first_minute(entity.site.started, zone) if entity.site.started else None
        self.sources = {
            name: (
                fleet.series("site", entity.id, name),
                *entity.fields[name].factors(entity.rated_watts, {}),
            )
            for name in _SUMMED
        }

    def _sum(self, name: str, first: int, after: int, begin: int) -> float | None:
        begin, end = max(first, begin), min(after, self.high)
        if begin >= end:
            return None
        series, scale, offset = self.sources[name]
        return value_of(series.span(begin, end, extremes=False), "sum", scale, offset)

    def month(self, first: int, after: int) -> dict[str, float | None]:
        """Return all bulk fields of one month."""
        low = self.entity.first_minute
        # Without a startup date only whole months after the first measured energy count.
        begin = self.startup if self.startup is not None else (low if first >= low else after)
        energy = self._sum("Wh", first, after, low)
        prorated = energy if first >= max(begin, low) else self._sum("Wh", first, after, begin)
        expected = self._sum("Wh_e", first, after, begin)
        whole = self._sum("GHIh_m", first, after, low) if first >= low else None
        insolation = whole if first >= max(begin, low) else self._sum("GHIh_m", first, after, begin)
        typical = ratio = adjusted = None
        if self.entity.site.has_address and insolation is not None:
            typical = round(insolation * 1.03, 3)
        if prorated is not None and expected:
            ratio = round(prorated / expected, 3)
        if ratio is not None and typical is not None and insolation:
            adjusted = round(ratio * typical / insolation, 3)
        return {
            "Wh_sum": energy,
            "Whp_sum": prorated,
            "Wh_e_sum": expected,
            "GHIh_m_sum": whole,
            "GHIhp_m_sum": insolation,
            "GHIh_t_sum": typical,
            "EER_avg": ratio,
            "GEER_avg": adjusted,
        }
