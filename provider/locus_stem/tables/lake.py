"""Where the tables are: one address, opened by deltalake for tables and by pyarrow.fs for everything else."""

from __future__ import annotations

import os
import re
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

import pyarrow as pa
import pyarrow.fs

from locus_stem.tables.schemas import SPECS
from locus_stem.tables.sql import Filter, where

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from deltalake import DeltaTable

__all__ = ["Lake", "LakeError", "LakeUnavailableError"]

ALLOWED = (
    "allowed are file:///absolute/folder, s3://bucket/folder, gs://bucket/folder and "
    "abfss://container@account.dfs.core.windows.net/folder"
)
#: What object stores answer where the address or the keys are wrong; anything else may pass.
FINAL_MARKS = (
    "NO_SUCH",
    "NOSUCH",
    "NOT_FOUND",
    "NOT FOUND",
    "ACCESS_DENIED",
    "ACCESS DENIED",
    "FORBIDDEN",
    "INVALID",
    "SIGNATURE",
    "CREDENTIALS",
    "HTTP STATUS 40",
)
CLOUD_SCHEMES = ("s3", "gs", "abfss")


class LakeError(ValueError):
    """The lake can't be used; the message names its address, what is wrong and what is allowed."""


class LakeUnavailableError(OSError):
    """The lake's storage fails; later it may work."""


@dataclass(frozen=True, slots=True)
class Lake:
    """A folder of Delta tables, ``{uri}/{table}``.

    :param uri: file:///absolute/folder, s3://bucket/folder, or by configuration gs:// and abfss://
    :param storage_options: deltalake's storage options, also used for files beside the tables.
        They hold keys, so that they are never shown.
    """

    uri: str
    storage_options: Mapping[str, str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "uri", self.uri.rstrip("/") or self.uri)

    def table_uri(self, name: str) -> str:
        """Return the address of one table."""
        return f"{self.uri}/{name}"

    def filesystem(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """Return pyarrow's file system and the lake's folder in it.

        :raises LakeError: the address is not one that a lake can have
        """
        parts = self._checked_parts()
        if parts.scheme == "file":
            return pyarrow.fs.LocalFileSystem(), unquote(parts.path).rstrip("/")
        if parts.scheme == "s3":
            options = _s3_options(self.storage_options or {}, os.environ)
            return pyarrow.fs.S3FileSystem(**options), (parts.netloc + parts.path).rstrip("/")
        filesystem, base = pyarrow.fs.FileSystem.from_uri(self.uri)
        return filesystem, base

    def open(self, name: str) -> DeltaTable | None:
        """Return the table's newest state, or None where there is no such table."""
        from deltalake import DeltaTable

        address, options = self.delta_address(name)
        if not DeltaTable.is_deltatable(address, options):
            return None
        return DeltaTable(address, storage_options=options)

    def delta_address(self, name: str) -> tuple[str, dict[str, str]]:
        """Return what deltalake opens a table by: a plain path for files, since a folder may hold % or #."""
        parts = self._checked_parts()
        options = dict(self.storage_options or {})
        if parts.scheme == "file":
            return f"{unquote(parts.path).rstrip('/')}/{name}", options
        return self.table_uri(name), options

    def dataset(self, table: DeltaTable, name: str, pruning: str | None = None) -> pyarrow.dataset.Dataset:
        """Return the table as a dataset that is read without deltalake's runtime.

        A writer that is fed while it reads would otherwise start that runtime inside itself, which panics.
        """
        filesystem, base = self.filesystem()
        return table.to_pyarrow_dataset(
            filesystem=pyarrow.fs.SubTreeFileSystem(f"{base}/{name}", filesystem),
            file_pruning_predicate=pruning,
        )

    def read(
        self, name: str, columns: Sequence[str] | None = None, filters: Sequence[Filter] = ()
    ) -> pa.Table:
        """Return a table's rows; an absent table has no rows, an absent known column is null.

        :param filters: tuples (column, operator, value), of which all must hold
        :raises KeyError: a column that neither the table nor its description has
        """
        table = self.open(name)
        spec = SPECS[name]
        stored = spec.schema() if table is None else pa.schema(table.schema().to_arrow())
        wanted = list(columns) if columns is not None else stored.names
        absent = [column for column in wanted if column not in stored.names]
        kinds = {column: spec.type_of(column) for column in absent}
        present = [column for column in wanted if column in stored.names]
        if table is None:
            rows = stored.empty_table()
        else:  # without any column there would be no number of rows
            rows = pa.Table.from_batches(*_typed(table, present or [spec.key[0]], filters))
        for column in absent:
            rows = rows.append_column(column, pa.nulls(len(rows), kinds[column]))
        return rows.select(wanted)

    def batches(
        self, table: DeltaTable, columns: Sequence[str], filters: Sequence[Filter] = ()
    ) -> tuple[Iterator[pa.RecordBatch], pa.Schema]:
        """Return rows of a state of a table as a stream, with their schema."""
        return _typed(table, columns, filters)

    def check(self) -> None:
        """Write a probe file into the lake and remove it again.

        :raises LakeError: the address is wrong, or nothing can be written there
        :raises LakeUnavailableError: a disk is full, or an object store fails for another reason
        """
        from locus_stem.tables.storage_failures import storage_failure

        parts = self._checked_parts()
        if parts.scheme == "file":
            _check_folder(self.uri, Path(unquote(parts.path)))
        try:
            filesystem, base = self.filesystem()
            probe = f"{base}/.probe-{uuid.uuid4().hex}"
            try:
                with filesystem.open_output_stream(probe) as stream:
                    stream.write(b"probe")
            except OSError:
                with suppress(OSError):  # on a full disk it may be there, and empty
                    filesystem.delete_file(probe)
                raise
            filesystem.delete_file(probe)
        except (OSError, pa.ArrowException) as error:
            if parts.scheme != "file" and not any(mark in str(error).upper() for mark in FINAL_MARKS):
                raise LakeUnavailableError(
                    f"lake {self.uri}: the storage doesn't answer as it should ({error})"
                ) from error
            meant = storage_failure(self.uri, error)
            if isinstance(meant, LakeUnavailableError):
                raise meant from error
            raise LakeError(
                f"lake {self.uri}: a file can't be written and removed there ({error}); give this machine "
                f"write access or another address; {ALLOWED}"
            ) from error

    def _checked_parts(self) -> SplitResult:
        shown = self.uri.split("?", 1)[0]
        parts = urlsplit(self.uri)
        if "@" in parts.netloc and parts.scheme != "abfss":
            raise LakeError(
                f"lake {parts.scheme}://…: keys belong into storage options, not into the address; {ALLOWED}"
            )
        if not parts.scheme:
            kind = "has no scheme" if self.uri.startswith("/") else "is a relative path"
            raise LakeError(f"lake {shown!r} {kind}; {ALLOWED}")
        if parts.scheme not in {"file", *CLOUD_SCHEMES}:
            raise LakeError(f"lake {shown!r}: scheme {parts.scheme!r} is unknown; {ALLOWED}")
        if parts.scheme == "file":
            if parts.netloc:
                raise LakeError(
                    f"lake {shown!r} names the host {parts.netloc!r}; a folder has three slashes; {ALLOWED}"
                )
            if not parts.path.startswith("/"):
                raise LakeError(f"lake {shown!r} is a relative path; {ALLOWED}")
        elif not parts.netloc:
            raise LakeError(f"lake {shown!r} names no bucket; {ALLOWED}")
        if parts.scheme == "file" and re.search("%[0-9A-Fa-f]{2}", unquote(parts.path)):
            raise LakeError(
                f"lake {shown!r}: deltalake can't open a folder whose name holds % and two hex digits; "
                f"{ALLOWED}"
            )
        if parts.query or parts.fragment:
            raise LakeError(f"lake {shown.split('#', 1)[0]!r} is followed by ? or #; {ALLOWED}")
        return parts


def _comparable(schema: pa.Schema) -> pa.Schema:
    """Read texts as plain strings: a filter's text can't be compared with string views."""
    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    return pa.schema([field.with_type(plain.get(field.type, field.type)) for field in schema])


def _typed(
    table: DeltaTable, columns: Sequence[str], filters: Sequence[Filter]
) -> tuple[Iterator[pa.RecordBatch], pa.Schema]:
    """Scan with deltalake's engine: pyarrow can't filter text that a merge has written (as views)."""
    stored = pa.schema(table.schema().to_arrow())
    schema = pa.schema([stored.field(column) for column in columns])
    reader = pa.RecordBatchReader.from_stream(table.scan(list(columns), where(filters)))
    return (batch.select(list(columns)).cast(schema) for batch in reader), schema


def _check_folder(uri: str, folder: Path) -> None:
    for place in (folder, *folder.parents):
        if place.exists():
            if not place.is_dir():
                raise LakeError(f"lake {uri}: {place} is a file, not a folder; {ALLOWED}")
            break
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LakeError(
            f"lake {uri}: the folder can't be made ({error.strerror}); give this machine write access or "
            f"another address; {ALLOWED}"
        ) from error


def _s3_options(options: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Translate deltalake's S3 options (any case, with or without aws_) into pyarrow's."""
    given = {key.lower().removeprefix("aws_"): value for key, value in options.items()}

    def option(*names: str) -> str | None:
        for name in names:
            if given.get(name):
                return given[name]
        return next(
            (environment[f"AWS_{n.upper()}"] for n in names if environment.get(f"AWS_{n.upper()}")), None
        )

    found: dict[str, Any] = {"allow_delayed_open": True}  # a small file is one request, not three
    key, secret = given.get("access_key_id"), given.get("secret_access_key")
    if key and secret:
        found |= {"access_key": key, "secret_key": secret, "session_token": given.get("session_token")}
    if region := option("region", "default_region"):
        found["region"] = region
    if endpoint := option("endpoint_url", "endpoint_url_s3", "endpoint"):
        address = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        found |= {"endpoint_override": address.netloc, "scheme": address.scheme}
    if (option("virtual_hosted_style_request") or "").lower() in {"1", "true"}:
        found["force_virtual_addressing"] = True
    return found
