from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from locus_stem.tables.lake import Lake
from locus_stem.tables.staging import Staging

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FEBRUARY = datetime(2024, 2, 1, tzinfo=UTC)
_NUMBERS = count()


def hour(number: int) -> datetime:
    """The instant that many hours after the beginning of February 2024, UTC."""
    return FEBRUARY + timedelta(hours=number)


@dataclass
class Bench:
    """A lake in a folder, and the staging of one plan in it."""

    lake: Lake
    staging: Staging = field(init=False)

    def __post_init__(self) -> None:
        self.staging = Staging(self.lake, "plan")
        self.staging.write_json("plan.json", {})

    def stage(self, rows: Iterable[tuple[int, int, Mapping[str, float | None]]], zone: str = "UTC") -> str:
        """Stage rows (entity, hour, values) as one part."""
        rows = list(rows)
        fields = sorted({name for _, _, values in rows for name in values})
        table = pa.table(
            {
                "entity_id": pa.array([entity for entity, _, _ in rows], pa.int64()),
                "ts": pa.array([hour(at) for _, at, _ in rows], pa.timestamp("us", "UTC")),
                "local_date": pa.array(
                    [hour(at).astimezone(ZoneInfo(zone)).date() for _, at, _ in rows], pa.date32()
                ),
                **{
                    name: pa.array([values.get(name) for _, _, values in rows], pa.float64())
                    for name in fields
                },
            }
        )
        return str(self.staging.batch(next(_NUMBERS)).commit_part(table, {})["part"])

    def version(self, table: str) -> int:
        found = self.lake.open(table)
        assert found is not None
        return found.version()


@pytest.fixture
def bench(tmp_path):
    return Bench(Lake((tmp_path / "lake").as_uri()))


@pytest.fixture
def new_bench():
    return Bench
