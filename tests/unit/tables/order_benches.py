"""The tables that loads keep in order, each with what a test needs to stage, load and read it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from locus_stem.planning.intervals import local_date
from locus_stem.planning.zones import first_instant
from locus_stem.tables.bulk import load_bulk, record_bulk_coverage, sites_answered
from locus_stem.tables.coverage import record_coverage
from locus_stem.tables.limits import Limits
from locus_stem.tables.loads import load_in_order
from locus_stem.tables.measurements import Asked, load_measurements
from locus_stem.tables.skips import Skip
from locus_stem.tables.staging import Staging
from locus_stem.tables.streams import LEAD, VALUE, load_streams

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from locus_stem.tables.lake import Lake
    from locus_stem.tables.loads import Due

#: Rows are merged, written anew and cut into several commits after a few of them.
LIMITS = [Limits(), Limits(4, merge_rows=3), Limits(3, 3, 9)]
BEGINNING = datetime(2024, 6, 1, tzinfo=UTC)
WITHOUT = "bulk data has nothing of it"
_PARTS = count()


class Answer(NamedTuple):
    """What one request was answered: the rows of an entity in [start, end), or why it was refused."""

    entity: int
    fields: tuple[str, ...]
    start: int
    end: int
    asked_at: int
    rows: Mapping[int, Mapping[str, float | None]]
    reason: str | None = None


class MeasurementBench:
    """Measurements at one level and granularity; places are intervals around the beginning of February 2024."""

    places = range(-40, 40)
    fields = ("W_avg", "Wh_sum", 'a.b `c"', "TmpC")
    entities = (1, 2, 5)
    level = "site"

    def __init__(self, level: str, granularity: str, zone: str) -> None:
        self.level, self.granularity, self.zone = level, granularity, zone
        self.table = f"locus_{level}_data"

    def at(self, place: int) -> datetime:
        if self.granularity == "daily":
            return first_instant(date(2024, 2, 1) + timedelta(days=place), self.zone)
        return datetime(2024, 2, 1, tzinfo=UTC) + timedelta(hours=place)

    def day(self, place: int) -> date:
        return local_date(self.at(place), self.zone)

    def asked(self, one: Answer) -> list[Asked]:
        moment = BEGINNING + timedelta(minutes=one.asked_at)
        return [Asked(one.entity, 70, self.zone, one.fields, self.at(one.start), self.at(one.end), moment)]

    def skips(self, one: Answer) -> list[Skip]:
        moment = BEGINNING + timedelta(minutes=one.asked_at)
        window = self.at(one.start), self.at(one.end)
        return [
            Skip(self.title(one.entity, field)[0], field, str(one.reason), self.zone, *window, moment)
            for field in one.fields
        ]

    def title(self, entity: int, field: str) -> tuple[str, str]:
        return str(entity), field

    def stage(self, staging: Staging, answers: Sequence[Answer]) -> list[str]:
        return [self._part(staging, self._staged(one)) for one in answers if one.rows]

    def _part(self, staging: Staging, rows: Mapping[str, Any]) -> str:
        return str(staging.batch(next(_PARTS)).commit_part(pa.table(dict(rows)), {})["part"])

    def _staged(self, one: Answer) -> dict[str, Any]:
        return {
            "entity_id": pa.array([one.entity] * len(one.rows), pa.int64()),
            "ts": pa.array([self.at(place) for place in one.rows], pa.timestamp("us", "UTC")),
            "local_date": pa.array([self.day(place) for place in one.rows], pa.date32()),
            **{
                field: pa.array([row.get(field) for row in one.rows.values()], pa.float64())
                for field in one.fields
            },
        }

    def load(self, lake: Lake, name: str, answers: Sequence[Answer], limits: Limits, begin: Any) -> Any:
        """Load as the pipelines do; ``begin`` is called as the work begins."""
        staging = Staging(lake, name)
        staging.write_json("plan.json", {})
        parts = self.stage(staging, [one for one in answers if one.reason is None])
        asked = [asked for one in answers if one.reason is None for asked in self.asked(one)]
        skips = [skip for one in answers if one.reason is not None for skip in self.skips(one)]

        def work(due: Due) -> Any:
            with begin():
                counts = self.load_data(lake, parts, due, limits)
                self.cover(lake, parts, asked, due)
            return counts

        return load_in_order(lake, self.table, self.granularity, name, asked, skips, work, self.names())

    def names(self) -> Mapping[int, tuple[str, str]] | None:
        return None

    def load_data(self, lake: Lake, parts: list[str], due: Due, limits: Limits) -> Any:
        return load_measurements(lake, self.table, self.granularity, parts, due.asked, limits)

    def cover(self, lake: Lake, parts: list[str], asked: Sequence[Asked], due: Due) -> None:
        record_coverage(
            lake, self.table, self.level, self.granularity, parts, due.covered, self.names(), due.skips
        )

    def held(self, lake: Lake) -> Iterator[tuple[int, int, str, float]]:
        """Give every value that the table has."""
        key = f"{self.level}_id"
        places = {self.at(place): place for place in self.places}
        for row in lake.read(self.table).to_pylist():
            assert row["granularity"] == self.granularity
            assert row["local_date"] == self.day(places[row["ts"]])
            assert row["month"] == row["local_date"].replace(day=1)
            for field in self.fields:
                if row.get(field) is not None:
                    yield row[key], places[row["ts"]], field, row[field]


class BulkBench(MeasurementBench):
    """Months of sites; places are months from July 2023 on."""

    places = range(14)

    def __init__(self, zone: str) -> None:
        super().__init__("site", "monthly", zone)
        self.table = "locus_bulk_monthly"

    def at(self, place: int) -> datetime:
        return first_instant(date(2023 + (place + 6) // 12, (place + 6) % 12 + 1, 1), self.zone)

    def load_data(self, lake: Lake, parts: list[str], due: Due, limits: Limits) -> Any:
        return load_bulk(lake, parts, due.asked)

    def cover(self, lake: Lake, parts: list[str], asked: Sequence[Asked], due: Due) -> None:
        having = sites_answered(lake, parts, asked)
        record_bulk_coverage(lake, parts, due, having, WITHOUT)

    def held(self, lake: Lake) -> Iterator[tuple[int, int, str, float]]:
        places = {self.day(place): place for place in self.places}
        for row in lake.read(self.table).to_pylist():
            for field in self.fields:
                if row.get(field) is not None:
                    yield row["site_id"], places[row["month"]], field, row[field]


class StreamBench(MeasurementBench):
    """Streams of Stem's sites; places are quarters of an hour around the beginning of February 2024."""

    fields = ("CONVERTER", "MONITOR")
    sites = ("50%_peak?#1", "plant/north/3", "white house, 'x' \"4\"")
    entities = (0, 1, 2)

    def __init__(self) -> None:
        super().__init__("site", "900", "UTC")
        self.table = "stem_streams"

    def at(self, place: int) -> datetime:
        return datetime(2024, 2, 1, tzinfo=UTC) + timedelta(minutes=15 * place)

    def title(self, entity: int, field: str) -> tuple[str, str]:
        return self.sites[entity], field

    def names(self) -> Mapping[int, tuple[str, str]]:
        return {
            2 * entity + kind: (self.sites[entity], field)
            for entity in self.entities
            for kind, field in enumerate(self.fields)
        }

    def _series(self, entity: int, field: str) -> int:
        return 2 * entity + self.fields.index(field)

    def asked(self, one: Answer) -> list[Asked]:
        moment = BEGINNING + timedelta(minutes=one.asked_at)
        window = self.at(one.start), self.at(one.end)
        series = [self._series(one.entity, field) for field in one.fields]
        return [Asked(number, number, "UTC", (VALUE,), *window, moment) for number in series]

    def _staged(self, one: Answer) -> dict[str, Any]:
        cells = [(field, place) for field in one.fields for place in one.rows if field in one.rows[place]]
        return {
            "entity_id": pa.array([self._series(one.entity, field) for field, _ in cells], pa.int64()),
            "ts": pa.array([self.at(place) for _, place in cells], pa.timestamp("us", "UTC")),
            "local_date": pa.array([self.day(place) for _, place in cells], pa.date32()),
            VALUE: pa.array([one.rows[place][field] for field, place in cells], pa.float64()),
            LEAD: pa.array([900_000_000.0] * len(cells), pa.float64()),
        }

    def load_data(self, lake: Lake, parts: list[str], due: Due, limits: Limits) -> Any:
        return load_streams(lake, 900, parts, due.asked, self.names(), limits)

    def held(self, lake: Lake) -> Iterator[tuple[int, int, str, float]]:
        places = {self.at(place + 1): place for place in self.places}
        for row in lake.read(self.table).to_pylist():
            if row[VALUE] is not None:
                yield (
                    self.sites.index(row["site_id"]),
                    places[row["end_datetime"]],
                    row["stream_type"],
                    row[VALUE],
                )


BENCHES = (
    MeasurementBench("site", "hourly", "America/Los_Angeles"),
    MeasurementBench("component", "daily", "Pacific/Auckland"),
    BulkBench("Europe/Berlin"),
    StreamBench(),
)
