"""Load measurements that somebody else extracted: files of rows, and what was asked for to get them."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from locus_stem.api.granularity import INTERVAL_GRANULARITIES
from locus_stem.api.parameter import numeric_id
from locus_stem.api.shown import described
from locus_stem.pipelines.load import Loaded, overtaken_notes, span_of
from locus_stem.pipelines.rows import UnfitAnswerError, measurement_rows
from locus_stem.planning.fields import FieldGroup
from locus_stem.planning.intervals import closed_end
from locus_stem.planning.request import DataRequest
from locus_stem.planning.slices import Slice
from locus_stem.planning.zones import local_day, site_zone
from locus_stem.tables.asked import check_field_names
from locus_stem.tables.coverage import record_coverage
from locus_stem.tables.loads import load_in_order
from locus_stem.tables.measurements import Asked, load_measurements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import BinaryIO

    from locus_stem.tables.counts import LoadCounts
    from locus_stem.tables.lake import Lake
    from locus_stem.tables.loads import Due
    from locus_stem.tables.staging import BatchStaging, Staging

__all__ = ["OwnRows", "RowsFile", "load_own_rows"]

log = logging.getLogger(__name__)

TABLES = {"site": "locus_site_data", "component": "locus_component_data"}
#: Rows that are held at a time.
PART_ROWS = 100_000


class RowsFile(Protocol):
    """A file of rows: ``airflow.sdk.ObjectStoragePath`` is one."""

    def open(self, mode: str) -> BinaryIO:
        """Open it for reading."""

    @property
    def suffix(self) -> str:
        """``.parquet``, or anything else for JSON lines."""


@dataclass(frozen=True, slots=True)
class OwnRows:
    """What was asked for: the table is brought to the answer for exactly this.

    :param level: ``site`` or ``component``.
    :param entity_ids: those that were asked; what has no row in the files has no value.
    :param start: aware; first instant of the window.
    :param end: aware; first instant after it.
    :param asked_at: aware; only intervals that were over by then are loaded.
    """

    level: str
    granularity: str
    entity_ids: tuple[int, ...]
    fields: tuple[str, ...]
    start: datetime
    end: datetime
    asked_at: datetime

    def check(self) -> None:
        """Refuse what can't be loaded.

        :raises ValueError: names the argument, the value and what is allowed.
        """
        if self.level not in TABLES:
            raise ValueError(f"level: {self.level!r} is refused; allowed: one of {', '.join(TABLES)}")
        if self.granularity not in INTERVAL_GRANULARITIES:
            allowed = ", ".join(INTERVAL_GRANULARITIES)
            raise ValueError(f"granularity: {self.granularity!r} is refused; allowed: one of {allowed}")
        if self.end <= self.start:
            raise ValueError(f"end: {self.end.isoformat()} is refused; allowed: after start")
        check_field_names(self.fields, ())

    def requests(self, lake: Lake) -> dict[int, DataRequest]:
        """Make each entity's request, with the site and zone that the lake has for it.

        :raises ValueError: the lake doesn't know an entity.
        """
        sites = {row["site_id"]: row for row in lake.read("locus_sites").to_pylist()}
        clients = {row["client_id"]: row.get("tz") for row in lake.read("locus_clients").to_pylist()}
        site_of = {site_id: site_id for site_id in sites}
        if self.level == "component":
            rows = lake.read("locus_components", ["component_id", "site_id"]).to_pylist()
            site_of = {row["component_id"]: row["site_id"] for row in rows}
        unknown = [entity for entity in self.entity_ids if site_of.get(entity) not in sites]
        if unknown:
            raise ValueError(
                f"entity_ids: {unknown[:5]} are refused, the lake knows no such {self.level}; "
                "run locus_inventory first: site and zone are taken from its tables"
            )
        found = {}
        for entity in self.entity_ids:
            site = sites[site_of[entity]]
            zone, warning = site_zone(site, clients.get(site.get("client_id")))
            if warning:
                log.warning("%s", warning)
            end = closed_end(self.end.astimezone(UTC), zone, self.granularity, self.asked_at.astimezone(UTC))
            kept = Slice(self.start.astimezone(UTC), end, "", "", "")
            group = FieldGroup(self.fields)
            found[entity] = DataRequest(
                self.level, entity, site_of[entity], zone, self.granularity, kept, group
            )
        return found


def load_own_rows(lake: Lake, staging: Staging, files: Sequence[RowsFile], own: OwnRows) -> Loaded:
    """Bring a data table to the files' rows for what was asked, and record its coverage.

    After it the table equals the rows for exactly these entities, fields and closed intervals of the window: rows are
    inserted, updated, or their values withdrawn (null); everything else stays. The same load again changes nothing.
    What another load has brought that was asked later stays too.

    :param staging: for this load alone; it is empty afterwards.
    :raises ValueError: a row can't be read, or an entity isn't known.
    """
    own.check()
    requests = own.requests(lake)
    staging.remove()
    staging.write_json("plan.json", {})
    try:
        parts = _stage(staging.batch(0), files, requests)
        asked = [
            Asked(
                one.entity_id, one.site_id, one.zone, own.fields, one.slice.start, one.slice.end, own.asked_at
            )
            for one in requests.values()
            if one.slice.start < one.slice.end
        ]
        table = TABLES[own.level]

        def load(due: Due) -> tuple[LoadCounts, LoadCounts]:
            counts = load_measurements(lake, table, own.granularity, parts, due.asked)
            return counts, record_coverage(lake, table, own.level, own.granularity, parts, due.covered)

        (counts, coverage), overtaken = load_in_order(
            lake, table, own.granularity, staging.plan_id, asked, (), load
        )
    finally:
        staging.remove()
    notes = overtaken_notes(overtaken, len(asked))
    return Loaded(counts, entities=len(asked), coverage=coverage, span=span_of(asked), notes=notes)


def _stage(batch: BatchStaging, files: Sequence[RowsFile], requests: dict[int, DataRequest]) -> list[str]:
    parts: list[str] = []
    held: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    count = strangers = 0
    for row in _rows(files):
        entity = _entity(row)
        if entity not in requests:
            strangers += 1
            continue
        held[entity].append({**row, "id": entity, "ts": _ts(row.get("ts"), requests[entity])})
        count += 1
        if count % PART_ROWS == 0:
            parts += _part(batch, held, requests)
            held.clear()
    if held:
        parts += _part(batch, held, requests)
    if strangers:
        log.warning("%d row(s) of ids that were not asked for are left out", strangers)
    log.info("%d rows are read from %d file(s)", count, len(files))
    return parts


def _part(
    batch: BatchStaging, held: dict[int, list[dict[str, Any]]], requests: dict[int, DataRequest]
) -> list[str]:
    import pyarrow as pa

    try:
        tables = [
            measurement_rows(rows, requests[entity], requests[entity].slice.end, anywhere=True)
            for entity, rows in held.items()
        ]
    except UnfitAnswerError as error:
        raise ValueError(f"path: {error}; allowed: rows as the API answers them") from error
    whole = pa.concat_tables(tables)
    return [batch.commit_part(whole, {})["part"]] if len(whole) else []


def _rows(files: Iterable[RowsFile]) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    for file in files:
        with file.open("rb") as stream:
            if file.suffix == ".parquet":
                for rows in pq.ParquetFile(stream).iter_batches():
                    yield from rows.to_pylist()
                continue
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield _object(line, file, number)


def _object(line: bytes, file: RowsFile, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if isinstance(row, dict):
        return row
    raise ValueError(f"path: line {number} of {file} is refused; allowed: a JSON object")


def _entity(row: dict[str, Any]) -> int | None:
    named = row.get("id", row.get("entity_id"))
    if (entity_id := numeric_id(named)) is None:
        raise ValueError(
            f"path: a row with the id {described(named)} is refused; allowed: a whole number above 0"
        )
    return entity_id


def _ts(ts: Any, request: DataRequest) -> Any:
    """Write an instant as the API writes it; a text is taken as an answer's own."""
    if not isinstance(ts, datetime):
        return ts
    if ts.tzinfo is None:
        raise ValueError(f"path: a row with the ts {ts.isoformat()} is refused; allowed: a time with a zone")
    if request.granularity in {"daily", "monthly", "yearly"}:
        return f"{local_day(ts.astimezone(UTC), request.zone).isoformat()}T00:00:00"
    return ts.astimezone(UTC).isoformat()
