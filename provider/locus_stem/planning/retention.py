"""The param ``retention_days`` of ``lake_maintenance``: for how long old versions of the tables are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locus_stem.planning.params import ParamError, check_names, given, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_RETENTION_DAYS", "LONGEST_RETENTION_DAYS", "SHORTEST_RETENTION_DAYS", "retention_days"]

NAME = "retention_days"
DEFAULT_RETENTION_DAYS = 30
#: The longest that a reader, a load, or a run that waits to be retried is believed to take.
SHORTEST_RETENTION_DAYS = 7
LONGEST_RETENTION_DAYS = 3650


def retention_days(raw: Mapping[str, Any]) -> int:
    """Read the raw DAG params; null is the default.

    :raises ParamError: it isn't a whole number, or so short that running readers and loads would lose files
    """
    check_names(raw, (NAME,))
    value = given(raw, NAME)
    days = DEFAULT_RETENTION_DAYS if value is None else whole(value)
    if days is None or not SHORTEST_RETENTION_DAYS <= days <= LONGEST_RETENTION_DAYS:
        raise ParamError(
            NAME,
            value,
            f"a whole number of days from {SHORTEST_RETENTION_DAYS} to {LONGEST_RETENTION_DAYS} is needed: a reader "
            "keeps the version that it opened, and a run may be retried for days, so that newer files must stay",
        )
    return days
