"""The inventory: clients, sites and components, and the details of each, as fresh as was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locus_stem.pipelines.knowledge import (
    AVAILABLE,
    CLIENTS,
    COMPONENTS,
    INSTALL_INFO,
    MODEL_SETTINGS,
    SITES,
    Refreshed,
    refresh_details,
    refresh_lists,
    stale,
)
from locus_stem.tables.counts import summed
from locus_stem.tables.coverage import last_fetches

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from locus_stem.pipelines.slot import Turn
    from locus_stem.tables.lake import Lake


def refresh_inventory(
    lake: Lake,
    partner_id: int,
    today: date,
    turn: Turn,
    *,
    detail_max_age_days: int,
    began: date | None = None,
) -> Refreshed:
    """Fetch and load the partner's lists and every detail older than `detail_max_age_days`.

    A refresh that the end of its turn cut short (`left` is not 0) is called again and goes on with what is left.

    :param began: the day of the first of these turns, None in the first one.
    """
    counts = refresh_lists(
        lake, partner_id, today, (CLIENTS, SITES, COMPONENTS), turn, max_age_days=1 if began else 0
    )
    sites = _ids(lake, "locus_sites", "site_id")
    components = _ids(lake, "locus_components", "component_id", measuring=True)
    wanted = [
        *stale(lake, AVAILABLE["partner"], [partner_id], today, detail_max_age_days, began),
        *stale(lake, INSTALL_INFO, sites, today, detail_max_age_days, began),
        *stale(lake, MODEL_SETTINGS, sites, today, detail_max_age_days, began),
        *stale(lake, AVAILABLE["site"], sites, today, detail_max_age_days, began),
        *stale(lake, AVAILABLE["component"], components, today, detail_max_age_days, began),
    ]
    result = refresh_details(lake, wanted, today, turn)
    result.counts = summed(counts, result.counts)
    return result


def fetched_since(lake: Lake, tables: Iterable[str], day: date) -> list[str]:
    """Choose the tables of which a detail was fetched on a UTC date or later, if by a try that was killed."""
    return [
        table for table in tables if any(fetch.day >= day for fetch in last_fetches(lake, table).values())
    ]


def _ids(lake: Lake, table: str, key: str, *, measuring: bool = False) -> list[int]:
    rows = lake.read(table).to_pylist()
    return [
        row[key]
        for row in rows
        if row["removed_on"] is None and not (measuring and row["is_conceptual_node"])
    ]
