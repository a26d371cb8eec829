"""Tries of one batch that have overlapped: of what several have asked, the youngest answer counts, and it alone.

A try whose scheduler or worker has died can go on beside the one that takes its place, and may write after it. What the
API has withdrawn between their requests stands in the older answer only, so that is taken out of its part.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from locus_stem.pipelines.batch_state import item_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from locus_stem.pipelines.batch_state import Key
    from locus_stem.tables.staging import Staging

log = logging.getLogger(__name__)

__all__ = ["asked_when", "numbered", "parts_of"]

#: A staged row's answer: its place in the manifest. No field has such a name.
ANSWER = "(answer)"


def numbered(rows: pa.Table, place: int) -> pa.Table:
    """Say of an answer's rows which answer of the part they are of."""
    return rows.append_column(ANSWER, pa.repeat(pa.scalar(place, pa.int32()), len(rows)))


def asked_when(item: Mapping[str, Any]) -> datetime:
    """Give the instant at which an answer was asked for."""
    return datetime.fromisoformat(item["asked_at"])


def parts_of(staging: Staging, manifests: Sequence[dict[str, Any]]) -> list[str]:
    """Give the staged parts, the one that was asked for first first, without what another one has asked later."""
    overtaken = _overtaken(manifests)
    with_rows = [manifest for manifest in manifests if manifest["part"]]
    ordered = sorted(with_rows, key=lambda manifest: min(map(asked_when, manifest["answered"])))
    if overtaken:
        log.info("%d part(s) hold answers that another try has asked later; those count", len(overtaken))
    return [_counting(staging, manifest["part"], overtaken) for manifest in ordered]


def _counting(staging: Staging, part: str, overtaken: Mapping[str, Mapping[int, frozenset[str]]]) -> str:
    if part not in overtaken:
        return part
    return staging.rewritten(part, partial(_without, overtaken=overtaken[part]))


def _overtaken(manifests: Iterable[dict[str, Any]]) -> dict[str, dict[int, frozenset[str]]]:
    """Name the answers that another try has asked later: by part and place the fields, none where it is all of them."""
    alike: dict[Key, list[tuple[str, int, Mapping[str, Any]]]] = defaultdict(list)
    for manifest in manifests:
        for place, item in enumerate(manifest["answered"]):
            alike[item_key(item)].append((manifest["part"], place, item))
    found: dict[str, dict[int, frozenset[str]]] = defaultdict(dict)
    for several in (items for items in alike.values() if len(items) > 1):
        taken: set[str] = set()
        for part, place, item in sorted(several, key=lambda one: asked_when(one[2]), reverse=True):
            later = taken.intersection(item["fields"])
            if part and later:
                found[part][place] = frozenset(later if len(later) < len(item["fields"]) else ())
            taken.update(item["fields"])
    return dict(found)


def _without(rows: pa.Table, overtaken: Mapping[int, frozenset[str]]) -> pa.Table:
    """Leave out the rows of answers of which nothing counts, and the values of the other ones' overtaken fields."""
    whole = [place for place, fields in overtaken.items() if not fields]
    rows = rows.filter(pc.invert(pc.is_in(rows.column(ANSWER), pa.array(whole, pa.int32()))))
    for place, fields in overtaken.items():
        theirs = pc.equal(rows.column(ANSWER), place)
        for name in fields.intersection(rows.column_names):
            kept = pc.if_else(theirs, pa.scalar(None, pa.float64()), rows.column(name))
            rows = rows.set_column(rows.column_names.index(name), name, kept)
    return rows
