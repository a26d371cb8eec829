"""Where the tables are: one address, opened by deltalake for tables and by pyarrow.fs for everything else."""

from __future__ import annotations

import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.fs

from locus_stem.tables.address import ALLOWED, LakeAddress, LakeError, LakeUnavailableError
from locus_stem.tables.schemas import SPECS
from locus_stem.tables.sql import Filter, where

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deltalake import DeltaTable

__all__ = ["Lake", "LakeError", "LakeUnavailableError", "Store"]


class Store(Protocol):
    """How both engines reach a lake in an object store, with the same keys."""

    def delta_options(self) -> dict[str, str]:
        """Give deltalake's storage options; they hold keys."""

    def filesystem(self) -> pyarrow.fs.FileSystem:
        """Give pyarrow's file system."""

    def check(self) -> None:
        """Write a probe and remove it again.

        :raises LakeError: no repetition helps; the message says what does
        :raises LakeUnavailableError: later it may work
        """


@dataclass(frozen=True, slots=True)
class Lake:
    """A folder of Delta tables, ``{uri}/{table}``.

    :param uri: file:///absolute/folder, s3://bucket/folder, gs:// or abfss://. An Airflow connection in it is for who
        opens the lake in a task: see :func:`locus_stem.hooks.lake.open_lake`
    :param store: what knows the keys of an object store; None: those of the environment. It is never shown.
    :raises LakeError: the address is not one that a lake can have
    """

    uri: str
    store: Store | None = field(default=None, repr=False, compare=False)
    _address: LakeAddress = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        address = LakeAddress.parse(self.uri)
        if address.conn_id is not None and self.store is None:
            raise LakeError(
                f"lake {address.uri}: the connection {address.conn_id!r} that its address names is Airflow's: open it "
                "with locus_stem.hooks.lake.open_lake in a task, or without connection where the environment has keys"
            )
        object.__setattr__(self, "_address", address)
        object.__setattr__(self, "uri", address.uri)
        if self.store is None and address.scheme != "file":
            from locus_stem.tables.stores import environment_store

            object.__setattr__(self, "store", environment_store(address))

    def table_uri(self, name: str) -> str:
        """Return the address of one table."""
        return f"{self.uri}/{name}"

    def filesystem(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """Return pyarrow's file system and the lake's folder in it."""
        if self.store is None:
            return pyarrow.fs.LocalFileSystem(), self._address.path
        # Of Azure's place it is the container: the account is the file system's.
        return self.store.filesystem(), self._address.place.split("@")[0] + self._address.path

    @contextmanager
    def files(self) -> Iterator[tuple[pyarrow.fs.FileSystem, str]]:
        """Do as ``filesystem``; what fails in here, on disk or in S3, says which lake it is of.

        :raises LakeError: it is closed to this machine
        :raises LakeUnavailableError: it is full, can't be reached, or fails
        """
        from locus_stem.tables.storage_failures import storage_failures

        with storage_failures(self.uri):
            yield self.filesystem()

    def open(self, name: str) -> DeltaTable | None:
        """Return the table's newest state, or None where there is no such table.

        :raises LakeUnavailableError: the storage fails
        """
        from deltalake import DeltaTable

        from locus_stem.tables.storage_failures import storage_failures

        address, options = self.delta_address(name)
        with storage_failures(self.uri):
            if not DeltaTable.is_deltatable(address, options):
                return None
            return DeltaTable(address, storage_options=options)

    def delta_address(self, name: str) -> tuple[str, dict[str, str]]:
        """Return what deltalake opens a table by: a plain path for files, since a folder may hold % or #."""
        if self.store is None:
            return f"{self._address.path}/{name}", {}
        return self.table_uri(name), self.store.delta_options()

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
        :raises LakeUnavailableError: the storage fails
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
            rows = pa.Table.from_batches(*self.batches(table, present or [spec.key[0]], filters))
        for column in absent:
            rows = rows.append_column(column, pa.nulls(len(rows), kinds[column]))
        return rows.select(wanted)

    def batches(
        self, table: DeltaTable, columns: Sequence[str], filters: Sequence[Filter] = ()
    ) -> tuple[Iterator[pa.RecordBatch], pa.Schema]:
        """Return rows of a state of a table as a stream, with their schema.

        deltalake's engine scans: pyarrow can't filter text that a merge has written (as views).
        """
        from locus_stem.tables.storage_failures import storage_failures

        stored = pa.schema(table.schema().to_arrow())
        schema = pa.schema([stored.field(column) for column in columns])

        def rows() -> Iterator[pa.RecordBatch]:
            with storage_failures(self.uri):
                for batch in reader:
                    yield batch.select(list(columns)).cast(schema)

        with storage_failures(self.uri):
            reader = pa.RecordBatchReader.from_stream(table.scan(list(columns), where(filters)))
        return rows(), schema

    def check(self) -> None:
        """Write a probe file into the lake and remove it again.

        :raises LakeError: the address or its keys are wrong, or nothing can be written there
        :raises LakeUnavailableError: a disk is full, or an object store fails for another reason
        """
        from locus_stem.tables.storage_failures import storage_failure

        if self.store is not None:
            self.store.check()
            return
        _check_folder(self.uri, Path(self._address.path))
        filesystem, base = self.filesystem()
        probe = f"{base}/.probe-{uuid.uuid4().hex}"
        try:
            try:
                with filesystem.open_output_stream(probe) as stream:
                    stream.write(b"probe")
            except OSError:
                with suppress(OSError):  # on a full disk it may be there, and empty
                    filesystem.delete_file(probe)
                raise
            filesystem.delete_file(probe)
        except (OSError, pa.ArrowException) as error:
            meant = storage_failure(self.uri, error)
            if isinstance(meant, LakeUnavailableError):
                raise meant from error
            raise LakeError(
                f"lake {self.uri}: a file can't be written and removed there ({error}); give this machine "
                f"write access or another address; {ALLOWED}"
            ) from error


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
