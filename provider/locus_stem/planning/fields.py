"""Fields: which of them to ask an entity for, grouped so that one request serves as many as possible.

Reference pages dataavailable/dataavailable (source, granularities, field parameters of each field) and
data/data (field parameters are part of the data request).
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from locus_stem.api.granularity import GRANULARITIES
from locus_stem.api.locus import LocusEndpoints
from locus_stem.planning.params import ParamError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["AvailableField", "FieldGroup", "check_wanted", "field_groups", "halve"]

_SHOWN = 20  # names listed in a message
#: What a request for data says by itself: no parameter of a field can have such a name.
_OWN = LocusEndpoints.get_site_data.query_names
#: Characters of a parameter's name or value.
LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class AvailableField:
    """A field that ``dataavailable`` lists for an entity.

    :param short_name: the name asked for, such as ``Wh_sum``
    :param source: Measured, Modeled or Expected
    :param granularities: those at which it can be asked
    :param field_parameters: (parameter, its allowed values) in the listed order
    """

    short_name: str
    source: str
    granularities: tuple[str, ...]
    field_parameters: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> AvailableField:
        """Read a row of ``locus_data_available``; its field parameters are JSON text."""
        return cls(
            short_name=row["short_name"],
            source=row.get("source") or "",
            granularities=tuple(row.get("granularities") or ()),
            field_parameters=_parameters(row.get("field_parameters") or "[]"),
        )


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """Fields that one request asks for, with the parameters that they need.

    :param fields: shortNames, sorted
    :param parameters: (parameter, value), sorted; empty for fields that need none
    """

    fields: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...] = ()


def field_groups(
    available: Iterable[AvailableField], granularity: str, wanted: Sequence[str] | None
) -> list[FieldGroup]:
    """Group the fields to ask of one entity: one group for each distinct set of parameters.

    :param wanted: shortNames of any source (those that the entity lacks are left out), or None for every
        field whose source is Measured
    :returns: no group if the entity has none of them at this granularity
    """
    return list(_groups(tuple(available), granularity, None if wanted is None else tuple(wanted)))


def halve(group: FieldGroup) -> tuple[FieldGroup, FieldGroup]:
    """Split a group in two, to find the field that the API refuses.

    :raises ValueError: for a group of one field
    """
    middle = len(group.fields) // 2
    if middle == 0:
        raise ValueError(f"{group.fields} can't be split")
    return FieldGroup(group.fields[:middle], group.parameters), FieldGroup(
        group.fields[middle:], group.parameters
    )


def check_wanted(available: Iterable[AvailableField], granularity: str, wanted: Sequence[str] | None) -> None:
    """Refuse a field that none of the chosen entities has at this granularity.

    :param available: the fields of all chosen entities together
    :raises ParamError: naming the field and what there is instead
    """
    every = set(available)
    here = {field.short_name for field in every if granularity in field.granularities}
    if wanted is None:
        if not any(field.source == "Measured" and field.short_name in here for field in every):
            raise ParamError(
                "fields", None, f"no chosen entity has a Measured field at {granularity}; {_choice(here)}"
            )
        return
    for name in wanted:
        if name in here:
            continue
        elsewhere = sorted(
            {gran for field in every if field.short_name == name for gran in field.granularities}
            & GRANULARITIES.keys()
        )
        if elsewhere:
            raise ParamError(
                "fields", name, f"only available at {', '.join(elsewhere)}, not at {granularity}"
            )
        near = get_close_matches(name, sorted(here), n=3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ParamError(
            "fields", name, f"no chosen entity has this field at {granularity}; {hint}{_choice(here)}"
        )


def _choice(names: set[str]) -> str:
    shown = sorted(names)[:_SHOWN]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"available: {', '.join(shown) or 'nothing'}{more}"


@lru_cache(maxsize=10_000)
def _groups(
    available: tuple[AvailableField, ...], granularity: str, wanted: tuple[str, ...] | None
) -> tuple[FieldGroup, ...]:
    parameters: dict[str, tuple[tuple[str, str], ...]] = {}
    for field in available:
        asked = field.source == "Measured" if wanted is None else field.short_name in wanted
        if asked and granularity in field.granularities:
            first_values = [(param, values[0]) for param, values in field.field_parameters if values]
            parameters[field.short_name] = tuple(sorted(first_values))
    by_parameters: defaultdict[tuple[tuple[str, str], ...], list[str]] = defaultdict(list)
    for name in sorted(parameters):
        by_parameters[parameters[name]].append(name)
    return tuple(FieldGroup(tuple(names), values) for values, names in sorted(by_parameters.items()))


@lru_cache(maxsize=10_000)
def _parameters(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Read field parameters; what isn't one, or can't be sent, is left out."""
    try:
        listed = json.loads(text)
    except ValueError:  # too long to be stored whole
        return ()
    found = []
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, dict) and _is_name(item.get("param")) and item["param"] not in _OWN:
            values = item.get("values")
            kept = [str(value) for value in (values if isinstance(values, list) else ()) if _is_plain(value)]
            found.append((item["param"], tuple(kept)))
    return tuple(found)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _is_plain(value)


def _is_plain(value: object) -> bool:
    return (
        isinstance(value, str | int | float)
        and 0 < len(str(value).strip()) <= LONGEST_NAME
        and str(value).isprintable()
    )
