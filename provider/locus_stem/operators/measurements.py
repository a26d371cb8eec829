"""Exact loading behind a user's own extraction."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from locus_stem.operators.account import LocusOperator
from locus_stem.operators.endpoint import checked_names, refused_arguments
from locus_stem.operators.result import StoredFile, address_of, check_path
from locus_stem.operators.retries import known_causes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from locus_stem.tables.lake import Lake
    from locus_stem.tables.staging import Staging


class LoadMeasurementsOperator(LocusOperator):
    """Load rows that were extracted before into ``locus_site_data`` or ``locus_component_data``, exactly.

    Afterwards the table equals the files' rows for exactly the entities, fields and closed intervals that were asked:
    new rows are inserted, changed values updated, values that are no longer there null; everything else stays. Loading
    the same again changes nothing. ``coverage`` is kept.

    The files hold JSON lines, as the operators of this package write them, or Parquet (``.parquet``): ``id`` (or
    ``entity_id``), ``ts`` (an answer's text, or a time with a zone) and a number or null a field. Site and zone of each
    entity come from the tables of ``locus_inventory``. It asks the API nothing and takes no slot of its pool.

    :param path: address of a file, or a list of them, as ``airflow.sdk.ObjectStoragePath`` takes them (templated).
    :param level: ``site`` or ``component``.
    :param granularity: ``hourly``; any but ``latest`` (templated).
    :param entity_ids: ids that were asked (templated): those without rows are taken to have no values.
    :param fields: short names that were asked, a list or one text with commas (templated).
    :param start: first instant that was asked, ISO 8601 with a zone (templated).
    :param end: first instant after what was asked (templated).
    :param asked_at: when it was asked, ISO 8601 with a zone (templated): intervals that were still open then are left
        to the next load, and what another run has asked later and loaded stays. Default: the beginning of the run,
        which is right where the run extracts what it loads.
    :return: rows new, changed, unchanged and withdrawn.
    """

    tables = ("locus_site_data", "locus_component_data", "coverage")
    template_fields: Sequence[str] = (
        *LocusOperator.template_fields,
        *("path", "granularity", "entity_ids", "fields", "start", "end", "asked_at"),
    )

    def __init__(
        self,
        *,
        path: str | Sequence[str],
        level: str,
        granularity: str,
        entity_ids: Sequence[int | str] | str,
        fields: Sequence[str] | str,
        start: str | datetime,
        end: str | datetime,
        asked_at: str | datetime | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.level = level
        self.granularity = granularity
        self.entity_ids = entity_ids
        self.fields = fields
        self.start = start
        self.end = end
        self.asked_at = asked_at

    def execute(self, context: Context) -> dict[str, Any]:
        """Stage the rows and load them."""
        from locus_stem.pipelines.own_rows import TABLES, OwnRows, load_own_rows
        from locus_stem.pipelines.written import version_before
        from locus_stem.tables.staging import Staging

        with known_causes(context), refused_arguments():
            paths = checked_names("path", [self.path] if isinstance(self.path, str) else self.path)
            own = OwnRows(
                level=self.level,
                granularity=self.granularity,
                entity_ids=_ids(self.entity_ids),
                fields=checked_names("fields", self.fields),
                start=_instant("start", self.start),
                end=_instant("end", self.end),
                asked_at=_instant("asked_at", self.asked_at or _begun(context)),
            )
            own.check()
            lake = self.lake()
            for path in paths:
                check_path(path)
            files = [StoredFile(path) for path in paths]
            staging, table = _staging(lake, context), TABLES[own.level]
            tries = Staging(lake, f"{staging.plan_id}.tries")
            before = version_before(lake, tries, table)
            try:
                loaded = load_own_rows(lake, staging, files, own)
            except ValueError:  # it is refused and not tried again
                tries.remove()
                raise
            tries.remove()
        self.log.info("%s", loaded.counts)
        for note in loaded.notes:
            self.log.info("%s", note)
        about = {**loaded.span, "granularity": own.granularity, "level": own.level}
        if loaded.span:
            read = {"endpoints": (), "files": [address_of(path) for path in paths]}
            self.wrote(context, lake, {table: loaded.counts}, version_before=before, **read, **about)
            self.wrote(context, lake, {"coverage": loaded.coverage}, source=table, **read, **about)
        return asdict(loaded.counts)


def _begun(context: Context) -> datetime:
    dag_run: Any = context["dag_run"]
    begun: datetime = dag_run.start_date or dag_run.run_after
    return begun


def _staging(lake: Lake, context: Context) -> Staging:
    """Give a folder of the task's own, the same in each try: the next one clears what a killed one left."""
    from locus_stem.tables.staging import Staging

    ti: Any = context["ti"]
    key = f"{ti.dag_id}\n{ti.run_id}\n{ti.task_id}\n{ti.map_index}"
    return Staging(lake, f"load.{hashlib.sha256(key.encode()).hexdigest()[:24]}")


def _ids(given: Any) -> tuple[int, ...]:
    found = given.split(",") if isinstance(given, str) else given
    if not isinstance(found, list | tuple) or not found:
        raise ValueError(f"entity_ids: {given!r} is refused; allowed: a list of ids, or one text with commas")
    for one in found:
        if isinstance(one, bool) or not str(one).strip().isdecimal():
            raise ValueError(f"entity_ids: {one!r} is refused; allowed: a whole number above 0")
    return tuple(dict.fromkeys(int(one) for one in found))


def _instant(name: str, given: Any) -> datetime:
    from datetime import datetime

    try:
        instant = given if isinstance(given, datetime) else datetime.fromisoformat(given)
    except (TypeError, ValueError):
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError(
            f"{name}: {given!r} is refused; allowed: ISO 8601 with a zone, 2025-10-01T00:00:00+00:00"
        )
    return instant
