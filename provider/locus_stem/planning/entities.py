"""Entities: which sites or components a backfill is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from locus_stem.planning.params import ParamError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from locus_stem.planning.params import BackfillParams

__all__ = ["ChosenEntities", "Entity", "Skipped", "check_known", "chosen_entities"]

_EXAMPLES = 5
Id = TypeVar("Id", int, str)


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """A site or a component.

    :param site_id: the site itself, or the component's site
    """

    entity_type: str
    site_id: int
    entity_id: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entity that was meant but isn't asked, and why."""

    entity: Entity
    reason: str


@dataclass(frozen=True, slots=True)
class ChosenEntities:
    """What the params choose, by site and id.

    :param entities: those to ask
    :param skipped: those that the params name but that aren't asked
    :param notes: what a reader of the log should know
    """

    entities: tuple[Entity, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def chosen_entities(
    params: BackfillParams, sites: Iterable[Mapping[str, Any]], components: Iterable[Mapping[str, Any]]
) -> ChosenEntities:
    """Choose the entities of a backfill, before anything is known about their fields.

    Removed entities and conceptual components (they measure nothing) are not asked; if the params name them,
    they are listed as skipped.

    :param sites: rows of ``locus_sites`` (site_id, removed_on)
    :param components: rows of ``locus_components`` (component_id, site_id, is_conceptual_node, removed_on)
    :raises ParamError: for ids that the tables don't hold
    """
    site_rows = {int(row["site_id"]): row for row in sites}
    check_known("site_ids", params.site_ids, site_rows)
    if params.level == "site":
        found = [(Entity("site", key, key), _removed("site", row)) for key, row in site_rows.items()]
        chosen = _chosen(found, params.site_ids)
        note = "" if chosen.entities or chosen.skipped else "there are no sites"
    else:
        every = {int(row["component_id"]): row for row in components}
        rows = {key: row for key, row in every.items() if row["site_id"] is not None}
        check_known("component_ids", params.component_ids, rows)
        homeless = len(every) - len(rows)
        found = [
            (
                Entity("component", int(row["site_id"]), key),
                _component_reason(row, site_rows, params.site_ids),
            )
            for key, row in rows.items()
        ]
        chosen = _chosen(found, params.component_ids)
        note = _bare_sites(params.site_ids, chosen)
        if homeless:
            note = "; ".join(filter(None, (note, f"{homeless} components without a site aren't asked")))
    return ChosenEntities(chosen.entities, chosen.skipped, (note,) if note else ())


def _chosen(found: Iterable[tuple[Entity, str | None]], named: Collection[int] | None) -> ChosenEntities:
    """Keep those without a reason against them; report the reason only for those that the params name."""
    entities, skipped = [], []
    for entity, reason in sorted(found, key=lambda pair: pair[0]):
        if named is not None and entity.entity_id not in named:
            continue
        if reason is None:
            entities.append(entity)
        elif named is not None:
            skipped.append(Skipped(entity, reason))
    return ChosenEntities(tuple(entities), tuple(skipped))


def _removed(kind: str, row: Mapping[str, Any]) -> str | None:
    gone = row.get("removed_on")
    return f"the API has not listed this {kind} since {gone}" if gone else None


def _component_reason(
    row: Mapping[str, Any], sites: Mapping[int, Mapping[str, Any]], site_ids: Collection[int] | None
) -> str | None:
    site_id = int(row["site_id"])
    if site_ids is not None and site_id not in site_ids:
        return f"its site {site_id} is not in site_ids"
    if row.get("is_conceptual_node"):
        return "conceptual: it measures nothing"
    return _removed("component", row) or _removed("component's site", sites.get(site_id, {}))


def _bare_sites(site_ids: Collection[int] | None, chosen: ChosenEntities) -> str:
    if site_ids is None:
        return "" if chosen.entities or chosen.skipped else "there are no components that measure"
    bare = sorted(set(site_ids) - {entity.site_id for entity in chosen.entities})
    return f"no component to ask at site {_shown(bare)}" if bare else ""


def check_known(name: str, ids: Collection[Id] | None, known: Collection[Id]) -> None:
    """Refuse ids that aren't known.

    :raises ParamError: names the param and those ids, and some that are known
    """
    unknown = sorted(set(ids or ()).difference(known))
    if not unknown:
        return
    kind = name.removesuffix("_ids")
    if not known:
        raise ParamError(name, unknown, f"no {kind} is known; check what the connection may see")
    examples = f"{len(known)} are known, such as {_shown(sorted(known))}"
    raise ParamError(name, unknown, f"there is no {kind} {_shown(unknown)}; {examples}")


def _shown(ids: Sequence[int | str]) -> str:
    more = f" and {len(ids) - _EXAMPLES} more" if len(ids) > _EXAMPLES else ""
    return ", ".join(map(repr, ids[:_EXAMPLES])) + more
