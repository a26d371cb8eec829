"""What the history holds of alerts' states, and of which states it has held another content.

``updated`` is told to the second only, so the API can show another content under the same one. Such a state is noted in
the table ``_alert_rewrites`` before its content is written, and stays there: who was told of it compares what that was
with what there is, and can't miss the change whenever it is written.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from locus_stem.tables.schemas import SPECS
from locus_stem.tables.upsert import upsert

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from locus_stem.tables.lake import Lake

__all__ = ["HISTORY", "KEY", "contents", "digest", "digests", "note_rewritten", "rewritten"]

HISTORY, REWRITES = "locus_alert_history", SPECS["_alert_rewrites"]
KEY = ["alert_id", "updated"]
#: So many states are read at a time.
STATES = 1000


def note_rewritten(lake: Lake, states: pa.Table) -> None:
    """Note states whose content is about to be replaced.

    :param states: with the columns of :data:`KEY`
    """
    if len(states):
        ids = states.column("alert_id").unique().sort().to_pylist()
        upsert(
            lake, REWRITES.name, states.select(KEY).cast(REWRITES.schema()), among=[("alert_id", "in", ids)]
        )


def rewritten(lake: Lake) -> pa.Table:
    """Return the keys of the states that were noted."""
    return lake.read(REWRITES.name, KEY)


def contents(lake: Lake, states: Sequence[tuple[int, datetime]]) -> list[dict[str, Any]]:
    """Return all columns of some stored states, in the same order.

    :param states: up to a thousand
    """
    if not states:
        return []
    updates = [updated for _, updated in states]
    stored = lake.read(
        HISTORY,
        filters=[
            ("alert_id", "in", sorted({alert_id for alert_id, _ in states})),
            ("updated", ">=", min(updates)),
            ("updated", "<=", max(updates)),
        ],
    ).to_pylist()
    rows = {(row["alert_id"], row["updated"]): row for row in stored}
    return [rows[state] for state in states]


def digest(state: Mapping[str, Any]) -> str:
    """Return what is the same for the same content; a column that was added since, and is empty, doesn't change it."""
    values = {name: value for name, value in state.items() if value is not None}
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def digests(lake: Lake, states: Collection[tuple[int, datetime]]) -> dict[tuple[int, datetime], str]:
    """Return the digests of some stored states, however many they are."""
    ordered = sorted(states, key=lambda state: state[1])  # so that the states of one read are of few days
    found: dict[tuple[int, datetime], str] = {}
    for first in range(0, len(ordered), STATES):
        some = ordered[first : first + STATES]
        found.update(zip(some, map(digest, contents(lake, some)), strict=True))
    return found
