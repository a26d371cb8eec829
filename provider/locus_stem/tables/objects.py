"""Tables of objects: lists, details and available fields, as the API shows them now."""

from __future__ import annotations

import json
import logging
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from locus_stem.api.errors import MalformedAnswerError
from locus_stem.api.parameter import is_short_name
from locus_stem.api.shown import shown
from locus_stem.tables.counts import LoadCounts
from locus_stem.tables.rows import without_values
from locus_stem.tables.schemas import SPECS, TableSpec, snake_case
from locus_stem.tables.upsert import upsert
from locus_stem.tables.values import converted, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from locus_stem.tables.lake import Lake
    from locus_stem.tables.sql import Filter

__all__ = ["gone_from", "load_data_available", "load_objects", "object_row"]

log = logging.getLogger(__name__)
REMOVED = "removed_on"
#: Columns that the API doesn't fill.
OWN = (REMOVED, "withdrawn_at")
DROPPED = "statusCode"
IN_LIST = 1000
#: Ids that a request can name: numbers of at most 18 digits, and texts.
NUMBERS, LONGEST_NAME = range(1, 10**18), 200
#: Fields of one entity; more than that are not what an entity has.
MOST_FIELDS = 1000


class _Distinct(NamedTuple):
    """One row a key, the last; rows without a usable key; keys that came again; the rows of one key that differ."""

    rows: list[Mapping[str, Any]]
    useless: list[Mapping[str, Any]]
    twice: list[tuple[Any, ...]]
    doubled: list[Mapping[str, Any]]

    def without(self, spec: TableSpec, known: pa.Table) -> pa.Table:
        """Give the known rows that are neither here nor may be here under a key that isn't theirs."""
        key, kind = spec.key[0], spec.columns[spec.key[0]]
        lacking = without_values(known, key, [usable_key(row.get(key), kind) for row in self.rows])
        doubtful = self._doubtful(spec, lacking)
        if doubtful:
            log.warning("%s: %d that this listing lacks don't count as removed by it, the first of them is %s",
                        spec.name, len(doubtful), shown(min(doubtful)))  # fmt: skip
        return without_values(lacking, key, doubtful)

    def _doubtful(self, spec: TableSpec, lacking: pa.Table) -> set[Any]:
        if self.useless:
            return set(lacking.column(spec.key[0]).to_pylist())
        if not self.doubled:
            return set()
        doubled = {_content(spec, row) for row in table_of(spec, self.doubled, lacking.schema).to_pylist()}
        return {row[spec.key[0]] for row in lacking.to_pylist() if _content(spec, row) in doubled}

    def say_what_is_left_out(self, spec: TableSpec) -> None:
        if self.useless:
            names = ", ".join(spec.key)
            first = ", ".join(shown(self.useless[0].get(column)) for column in spec.key)
            log.warning("%s: %d object(s) without a usable %s are left out, the first has %s",
                        spec.name, len(self.useless), names, first)  # fmt: skip
        if self.twice:
            log.warning("%s: %d object(s) were answered twice, the last of each is kept; the first of them is %s",
                        spec.name, len(self.twice), ", ".join(map(shown, self.twice[0])))  # fmt: skip


def load_objects(
    lake: Lake, table: str, objects: Sequence[Mapping[str, Any]], *, complete: bool, today: date
) -> LoadCounts:
    """Make rows equal to objects as the API answered them: new ones inserted, changed ones updated.

    Field names become snake_case, ``id`` the table's key; a field that an object lacks is null.

    :param objects: with ``id`` or the key itself (``site_id`` for details of a site)
    :param complete: the listing is whole: what it lacks, and doesn't hold under another key (:func:`gone_from`), gets
        ``removed_on`` = today and keeps its values
    :returns: objects newly removed are counted as withdrawn
    :raises MalformedAnswerError: the listing is to be whole, and none of its objects has a usable key.
    """
    spec = SPECS[table]
    found = _last_of_each(spec, (object_row(spec, one) for one in objects))
    found.say_what_is_left_out(spec)
    if complete and found.useless and not found.rows:
        raise MalformedAnswerError(
            f"none of the {len(found.useless)} object(s) for the table {table} has a usable {', '.join(spec.key)}"
        )
    known = lake.open(table)
    stored = spec.schema() if known is None else pa.schema(known.schema().to_arrow())
    given = table_of(spec, found.rows, stored)
    if not complete or REMOVED not in spec.columns:
        return upsert(lake, table, given)
    old = lake.read(table)
    newly = found.without(spec, old.filter(old.column(REMOVED).is_null()))
    if not len(newly):
        return upsert(lake, table, given)
    removed = newly.set_column(
        newly.column_names.index(REMOVED), REMOVED, pa.repeat(pa.scalar(today, pa.date32()), len(newly))
    )
    counts = upsert(lake, table, pa.concat_tables([given, removed], promote_options="default"))
    return LoadCounts(
        counts.new, counts.changed - len(removed), counts.unchanged, len(removed), counts.versions
    )


def gone_from(table: str, objects: Iterable[Mapping[str, Any]], known: pa.Table) -> set[Any]:
    """Tell the keys of known rows that a listing lacks, and doesn't hold under a key that isn't theirs.

    It may hold any of them where an object has no usable key, and the one that an object equals apart from its key
    where several that differ have one.
    """
    spec = SPECS[table]
    listed = _last_of_each(spec, (object_row(spec, one) for one in objects))
    return set(listed.without(spec, known).column(spec.key[0]).to_pylist())


def _content(spec: TableSpec, row: Mapping[str, Any]) -> str:
    return repr(sorted((name, value) for name, value in row.items()
                       if value is not None and name not in {*spec.key, *OWN}))  # fmt: skip


def load_data_available(
    lake: Lake, answers: Mapping[tuple[str, int], Sequence[Mapping[str, Any]]]
) -> LoadCounts:
    """Replace the available fields of each entity that was asked: one row an aggregation.

    :param answers: base fields as answered, by (entity_type, entity_id); base fields without aggregations
        have no short name and give no row
    :returns: rows of short names that are no longer there are deleted and counted as withdrawn; not where the answer
        has an aggregation without a short name, since it may be any that is lacking
    """
    if not answers:
        return LoadCounts()
    spec = SPECS["locus_data_available"]
    rows: list[Mapping[str, Any]] = []
    asked: dict[tuple[str, bool], list[int]] = {}
    for (entity_type, entity_id), base_fields in sorted(answers.items()):
        fields = list(_fields(entity_type, entity_id, base_fields))
        asked.setdefault((entity_type, None not in fields), []).append(entity_id)
        rows += [field for field in fields if field is not None]
    found = _last_of_each(spec, rows)
    found.say_what_is_left_out(spec)
    given = table_of(spec, found.rows, spec.schema())
    total = LoadCounts()
    for (entity_type, is_whole), ids in asked.items():
        for low in range(0, len(ids), IN_LIST):
            some = ids[low : low + IN_LIST]
            mine = pc.and_(
                pc.equal(given.column("entity_type"), entity_type),
                pc.is_in(given.column("entity_id"), pa.array(some, pa.int64())),
            )
            among: list[Filter] = [("entity_type", "=", entity_type), ("entity_id", "in", some)]
            total += upsert(lake, spec.name, given.filter(mine), among=among, delete_others=is_whole)
    return total


def object_row(spec: TableSpec, one: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answered object under the table's column names; columns of the table's own aren't filled."""
    row: dict[str, Any] = {}
    for name, value in one.items():
        if name == DROPPED:
            continue
        column = snake_case(name)
        if column == "id" and spec.id_column is not None and spec.id_column not in one:
            column = spec.id_column
        if column in OWN:
            log.warning(
                "%s: an answered field %r isn't stored: the table has its own %s", spec.name, name, column
            )
            continue
        row[column] = value
    return row


def _fields(
    entity_type: str, entity_id: int, base_fields: Sequence[Mapping[str, Any]]
) -> Iterable[dict[str, Any] | None]:
    """Give a row an aggregation, None for what can't be one."""
    every = (row for base_field in base_fields for row in _aggregations(entity_type, entity_id, base_field))
    yield from islice(every, MOST_FIELDS)
    if next(every, None) is not None:
        log.warning("%s %d: of more than %d fields the first are kept", entity_type, entity_id, MOST_FIELDS)
        yield None


def _aggregations(
    entity_type: str, entity_id: int, base_field: Mapping[str, Any]
) -> Iterable[dict[str, Any] | None]:
    aggregations, parameters = base_field.get("aggregations"), base_field.get("fieldParameters")
    if not isinstance(aggregations, list):
        aggregations = [] if aggregations is None else [aggregations]
    for aggregation in aggregations:
        name = aggregation.get("shortName") if isinstance(aggregation, dict) else aggregation
        if not isinstance(aggregation, dict) or not is_short_name(name):
            log.warning("%s %d: %s is no short name and is left out", entity_type, entity_id, shown(name))
            yield None
            continue
        yield {
            "entity_type": entity_type,
            "entity_id": entity_id,
            "short_name": name,
            "base_field": base_field.get("baseField"),
            "long_name": base_field.get("longName"),
            "source": base_field.get("source"),
            "unit": base_field.get("unit"),
            "aggregation": aggregation.get("aggregation"),
            "granularities": base_field.get("granularities"),
            "field_parameters": None if parameters is None else json.dumps(parameters, ensure_ascii=False),
        }


def _last_of_each(spec: TableSpec, rows: Iterable[Mapping[str, Any]]) -> _Distinct:
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    useless, twice, doubled = [], [], []
    for row in rows:
        key = tuple(usable_key(row.get(column), spec.columns[column]) for column in spec.key)
        if None in key:
            useless.append(row)
            continue
        if key in found:
            twice.append(key)
            if found[key] != row:
                doubled += [found[key], row]
        found[key] = row
    return _Distinct(list(found.values()), useless, twice, doubled)


def usable_key(value: Any, kind: pa.DataType) -> Any:
    """Return a key's value, None of one by which nothing can be asked for."""
    try:
        key = converted(value, kind)
    except (ValueError, OverflowError):
        return None
    if isinstance(key, int):
        return key if key in NUMBERS else None
    if key is None:
        return None
    # an id that had to be changed to be stored would name something else
    is_name = key == value and key.isprintable() and key.strip()
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return key if (is_name or is_whole) and len(key) <= LONGEST_NAME else None
