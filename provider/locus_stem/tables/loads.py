"""Loads of one table: one after another, and none puts an older answer in the place of a younger one.

The table ``_loads`` remembers which answers were loaded and when each was asked for, until no staging can be older
(``lake_maintenance`` prunes it). A load takes out of what it was asked what another run has asked later and loaded
before; usually that is nothing. What it has loaded itself is written down as it gives its lease back, in one commit.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from locus_stem.tables import commit
from locus_stem.tables.coverage import TABLE as COVERAGE
from locus_stem.tables.lease import LOADS, LeaseLostError, lease_of
from locus_stem.tables.overtaken import Due, Later, due, title
from locus_stem.tables.schemas import SPECS
from locus_stem.tables.sql import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from locus_stem.tables.asked import Asked
    from locus_stem.tables.lake import Lake
    from locus_stem.tables.overtaken import Names
    from locus_stem.tables.skips import Skip

__all__ = ["Due", "forget_loads", "load_in_order"]

log = logging.getLogger(__name__)
Result = TypeVar("Result")

SPEC = SPECS[LOADS]
#: Windows that don't meet can share a date, which is no longer than this in any zone: its record is the later one's.
A_DATE = timedelta(days=2)
#: What makes two rows the same, whoever wrote them and when.
SAME = ("entity_id", "fields", "start", "end", "asked_at", "reason")


def load_in_order(
    lake: Lake,
    table: str,
    granularity: str,
    load: str,
    asked: Sequence[Asked],
    skips: Sequence[Skip],
    work: Callable[[Due], Result],
    names: Names | None = None,
) -> tuple[Result, int]:
    """Load what was asked while nobody else loads the table, all but what others have asked later and loaded before.

    :param load: names the load; another try of the same takes over at once from one that was killed.
    :param work: loads data and coverage of what is due; it is done again where the lease was lost in between.
    :param names: as for ``record_coverage``.
    :returns: what ``work`` gave, and of how many answers another run's later ones have taken a part, or all.
    :raises AnotherTryError: another try of the same load has taken over.
    """
    if not asked and not skips:
        return work(Due(asked, asked, skips)), 0
    mine = _rows(table, granularity, load, asked, skips, names)
    while True:
        try:
            with lease_of(lake, table, load, (table, COVERAGE)) as lease:
                known = _known(lake, table, granularity, asked, skips)
                # By an earlier try of this load, or by another load of the same staging.
                written = {one for by, one in known if by == load}.intersection(_keys(mine) if known else ())
                others = [one for _, one in known if one not in written]
                still = due(asked, skips, others, granularity, names)
                if still.overtaken:
                    log.info(
                        "%s: of %d of %d answers other runs have asked later and loaded a part, or all; it stays",
                        table, still.overtaken, len(asked),
                    )  # fmt: skip
                with commit.only_while(lease.check):
                    result = work(still)
                new = [one not in written for one in _keys(mine)] if written else None
                lease.give_back(mine if new is None else mine.filter(pa.array(new, pa.bool_())))
                return result, still.overtaken
        except LeaseLostError as lost:
            log.warning("%s; it is loaded again after the other", lost)


def forget_loads(lake: Lake, before: datetime) -> int:
    """Forget loads of answers that were asked before an instant; return how many rows of the ledger these were."""
    if lake.open(LOADS) is None:
        return 0
    # Deletions compare no instants of another precision or zone than the column's.
    kind = "arrow_cast('{}', 'Timestamp(Microsecond, Some(\"UTC\"))')"
    predicate = f"{quoted('asked_at')} < {kind.format(before.astimezone(UTC).isoformat())}"
    return commit.exclusively(lake, LOADS, lambda ledger: commit.delete(ledger, predicate))


def _known(
    lake: Lake, table: str, granularity: str, asked: Sequence[Asked], skips: Sequence[Skip]
) -> list[tuple[str, Later]]:
    """Return the ledger's rows that may matter, each with the load that wrote it: none, as a rule."""
    every: list[Asked | Skip] = [*asked, *skips]
    rows = lake.read(
        LOADS,
        [*SAME, "load"],
        [
            ("source", "=", table),
            ("granularity", "=", granularity),
            ("asked_at", ">=", min(one.asked_at for one in every)),
            ("end", ">", min(one.start for one in every) - A_DATE),
            ("start", "<", max(one.end for one in every) + A_DATE),
        ],
    )
    return [
        (by, Later(entity, frozenset(fields), start, end, asked_at, reason))
        for entity, fields, start, end, asked_at, reason, by in zip(
            *(column.to_pylist() for column in rows.columns), strict=True
        )
    ]


def _rows(
    table: str,
    granularity: str,
    load: str,
    asked: Sequence[Asked],
    skips: Sequence[Skip],
    names: Names | None,
) -> pa.Table:
    """Return what a load leaves in the ledger."""
    titles = [title(one, names) for one in asked]
    titles += [(str(one.entity_id), (one.field,)) for one in skips]
    every: list[Asked | Skip] = [*asked, *skips]
    columns = {
        "source": pa.repeat(table, len(every)),
        "granularity": pa.repeat(granularity, len(every)),
        "entity_id": [entity for entity, _ in titles],
        "fields": [fields for _, fields in titles],
        "start": [one.start for one in every],
        "end": [one.end for one in every],
        "asked_at": [one.asked_at for one in every],
        "reason": [*(None for _ in asked), *(one.reason for one in skips)],
        "load": pa.repeat(load, len(every)),
        "loaded_at": pa.repeat(pa.scalar(datetime.now(UTC), SPEC.columns["loaded_at"]), len(every)),
    }
    return pa.table(columns, schema=SPEC.schema())


def _keys(rows: pa.Table) -> list[Later]:
    """Return what tells rows of the ledger apart, whoever wrote them and when."""
    columns = (rows.column(name).to_pylist() for name in SAME)
    return [Later(entity, frozenset(fields), *rest) for entity, fields, *rest in zip(*columns, strict=True)]
