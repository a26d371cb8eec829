"""One load of a table at a time, whatever machine it runs on: a lease in the log of the table ``_loads``.

A lease is taken, renewed and given back by exclusive commits, each of which carries who holds it as application
transactions: so it works wherever Delta tables do, and needs nothing besides. Clocks only decide how long others wait.
That a holder which lost its lease writes nothing more is seen to by versions: it opens a table, then looks at its
lease, and then commits onto that version or not at all; and whoever takes a lease that was not given back makes a
commit on each table that the holder may have opened.
"""

from __future__ import annotations

import hashlib
import logging
import random
import secrets
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import Transaction
from deltalake.exceptions import DeltaError

from locus_stem.tables import commit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deltalake import DeltaTable

    from locus_stem.tables.lake import Lake

__all__ = ["LOADS", "AnotherTryError", "Lease", "LeaseLostError", "lease_of"]

log = logging.getLogger(__name__)

LOADS = "_loads"
#: Seconds after which others may take a lease that is neither renewed nor given back: its holder was killed.
TERM = 120.0
#: A load that makes no commit for so long is taken for hung: its lease isn't renewed any more.
LONGEST_STEP = 1800.0
#: Seconds between two looks at a lease that somebody else holds, and between two lines about it in the log.
LOOK = 1.0
TELL = 60.0
FREE = 0
FENCE = "load.fence"


class LeaseLostError(RuntimeError):
    """Another load has taken the lease, since it was not renewed in time: what is left must be loaded again."""


class AnotherTryError(RuntimeError):
    """Another try of the same load goes on with it: this one has nothing more to do."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What the log says of a table's lease; the token is :data:`FREE` where nobody holds it."""

    token: int
    holder: int
    until: int

    @classmethod
    def of(cls, ledger: DeltaTable, table: str) -> _Held:
        return cls(*(ledger.transaction_version(name) or FREE for name in _names(table)))


class Lease:
    """A table's lease, held.

    :param load: names the load; another try of the same one takes the lease over at once.
    """

    def __init__(self, lake: Lake, table: str, load: str) -> None:
        self._lake, self._table, self._load = lake, table, load
        self._holder = _number(load)
        self._token = secrets.randbits(62) | 1
        self._ledger: DeltaTable | None = None
        self._fenced = False
        self._step = time.monotonic()
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name=f"lease of {table}", daemon=True)

    def take(self, beside: Sequence[str]) -> None:
        """Wait until nobody else loads the table, and hold it.

        :param beside: the tables that its loads write.
        """
        told = float("-inf")
        while (held := self._taken()) is not None:
            if time.monotonic() - told >= TELL:
                told = time.monotonic()
                log.info(
                    "%s is being loaded by %s; this load waits for its end (the lease lasts until %s, it is renewed)",
                    self._table, self._named(held), datetime.fromtimestamp(held.until, UTC).isoformat(" "),
                )  # fmt: skip
            time.sleep(LOOK * random.uniform(0.5, 1.0))  # noqa: S311
        if self._fenced:
            for name in beside:
                commit.exclusively(self._lake, name, self._fence)
        self._ledger = self._lake.open(LOADS)
        self._keeper.start()

    def check(self) -> None:
        """Make sure that the lease is still held.

        :raises LeaseLostError: it isn't.
        :raises AnotherTryError: another try of the same load holds it.
        """
        self._step = time.monotonic()
        assert self._ledger is not None  # noqa: S101
        self._ledger.update_incremental()
        self._look(self._ledger)

    def give_back(self, rows: pa.Table | None = None) -> None:
        """End it, in one commit with rows for the ledger.

        :raises LeaseLostError: it was lost; no row is written.
        :raises AnotherTryError: as ``check``.
        """
        self.end()

        def work(ledger: DeltaTable) -> None:
            self._look(ledger)
            self._write(ledger, FREE, rows)

        commit.exclusively(self._lake, LOADS, work)

    def end(self) -> None:
        """Renew it no more."""
        self._ended.set()
        if self._keeper.is_alive():
            self._keeper.join()

    def _taken(self) -> _Held | None:
        """Take the lease if it can be had; else say who holds it."""

        def work(ledger: DeltaTable) -> _Held | None:
            held = _Held.of(ledger, self._table)
            if held.token != FREE and held.holder != self._holder and held.until > time.time():
                return held
            self._fenced = held.token != FREE
            self._write(ledger, self._token)
            return None

        held = commit.exclusively(self._lake, LOADS, work)
        if held is None and self._fenced:
            log.warning(
                "%s: the load before, which was killed or cut off, has left its lease; it is taken over",
                self._table,
            )
        return held

    def _fence(self, table: DeltaTable) -> None:
        commit.append(table, _no_rows(table), [Transaction(FENCE, self._token)])

    def _look(self, ledger: DeltaTable) -> None:
        held = _Held.of(ledger, self._table)
        if held.token == self._token:
            return
        if held.token != FREE and held.holder == self._holder:
            raise AnotherTryError(f"{self._table}: another try of this load has taken over")
        raise LeaseLostError(f"{self._table}: another load has taken over, this one's lease had ended")

    def _keep(self) -> None:
        """Renew the lease while the load goes on, in a thread beside it."""
        while not self._ended.wait(TERM / 4):
            if time.monotonic() - self._step > LONGEST_STEP:
                log.warning("%s: no commit for %.0f s, the lease is left to end", self._table, LONGEST_STEP)
                return
            try:
                commit.exclusively(self._lake, LOADS, self._renew)
            except (LeaseLostError, AnotherTryError):  # the load itself finds out
                return
            except (DeltaError, OSError, commit.CommitConflictError) as error:
                log.warning("%s: the lease was not renewed, it is tried again: %s", self._table, error)

    def _renew(self, ledger: DeltaTable) -> None:
        self._look(ledger)
        self._write(ledger, self._token)

    def _write(self, ledger: DeltaTable, token: int, rows: pa.Table | None = None) -> None:
        numbers = token, self._holder, int(time.time() + TERM) + 1
        transactions = [
            Transaction(name, number) for name, number in zip(_names(self._table), numbers, strict=True)
        ]
        commit.append(ledger, _no_rows(ledger) if rows is None else rows, transactions, {"load": self._load})

    def _named(self, held: _Held) -> str:
        """Name the load that holds the lease, as its commits do."""
        assert self._lake is not None  # noqa: S101
        ledger = self._lake.open(LOADS)
        names = (entry.get("load") for entry in ledger.history(50)) if ledger else ()
        return next((str(name) for name in names if name and _number(name) == held.holder), "another run")


@contextmanager
def lease_of(lake: Lake, table: str, load: str, beside: Sequence[str]) -> Iterator[Lease]:
    """Hold a table's lease; who holds it gives it back with what was loaded, and an error that ends the load does too.

    :param beside: the tables that its loads write: see the module.
    """
    lease = Lease(lake, table, load)
    lease.take(beside)
    try:
        yield lease
    except (LeaseLostError, AnotherTryError):
        raise
    except BaseException:
        try:
            lease.give_back()
        except (DeltaError, OSError, RuntimeError) as error:
            log.warning("%s: the lease is left to end: %s", table, error)
        raise
    finally:
        lease.end()


def _names(table: str) -> tuple[str, str, str]:
    return f"{table}.token", f"{table}.holder", f"{table}.until"


def _number(load: str) -> int:
    return int.from_bytes(hashlib.sha256(load.encode()).digest()[:7])


def _no_rows(table: DeltaTable) -> pa.Table:
    return pa.schema(table.schema().to_arrow()).empty_table()
