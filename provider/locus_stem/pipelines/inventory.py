"""The inventory: clients, sites and components, and the details of each, as fresh as was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locus_stem.pipelines.asked import Asked
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
    run_scope: str | None = None,
) -> Refreshed:
    """Fetch and load the partner's lists and every detail older than `detail_max_age_days`.

    A refresh that the end of its turn cut short (`left` is not 0), or that was killed, is called again and goes on with
    what is left.

    :param run_scope: names the run, see :func:`locus_stem.pipelines.plan.scope`; what it has asked is noted in its
        staging. None: nothing is noted; called again it asks for what is older, as if for the first time.
    """
    asked = Asked.of(lake, run_scope) if run_scope else None
    counts = refresh_lists(
        lake, partner_id, today, (CLIENTS, SITES, COMPONENTS), turn, max_age_days=0, asked=asked
    )
    sites = _ids(lake, "locus_sites", "site_id")
    components = _ids(lake, "locus_components", "component_id", measuring=True)
    wanted = [
        *stale(lake, AVAILABLE["partner"], [partner_id], today, detail_max_age_days),
        *stale(lake, INSTALL_INFO, sites, today, detail_max_age_days),
        *stale(lake, MODEL_SETTINGS, sites, today, detail_max_age_days),
        *stale(lake, AVAILABLE["site"], sites, today, detail_max_age_days),
        *stale(lake, AVAILABLE["component"], components, today, detail_max_age_days),
    ]
    result = refresh_details(lake, asked.left(wanted) if asked else wanted, today, turn, asked)
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
