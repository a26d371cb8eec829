"""What every task of an account's pipelines has: a connection and a lake, and a word on what it wrote into it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AssetAlias, BaseOperator

from locus_stem import pools
from locus_stem.assets import table_asset
from locus_stem.config import account_lake_uri, account_name
from locus_stem.hooks.lake import open_lake
from locus_stem.hooks.locus import LocusHook
from locus_stem.hooks.stem import StemHook
from locus_stem.operators.lineage import Lineage, lineage_wanted
from locus_stem.operators.orphan import EndsWithSupervisor
from locus_stem.operators.retries import retry_by_cause
from locus_stem.operators.vendor_pool import VendorPool
from locus_stem.pipelines.sources import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from locus_stem.tables.counts import LoadCounts
    from locus_stem.tables.lake import Lake
    from locus_stem.tables.state import TableState


class AccountOperator(EndsWithSupervisor, BaseOperator):
    """A task of one account: its connection and its lake; see the vendors' classes.

    A class that writes tables names them in ``tables``, and its ``execute`` calls :meth:`wrote` after the commits.
    Which of them a task writes is often known only then (a run's param chooses sites or components), and an asset that
    stands in a task's outlets has an event whenever the task succeeds: so the outlet is an alias, and the task says
    what it stood for.
    """

    template_fields: Sequence[str] = ("conn_id", "lake_uri")
    default_conn_id: ClassVar[str]
    #: Names the account's tables as one outlet of a task.
    alias: ClassVar[str]
    #: The tables that the task may write.
    tables: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, conn_id: str | None = None, lake_uri: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        retry_by_cause(self)
        self.conn_id = conn_id or self.default_conn_id
        self.lake_uri = lake_uri
        self._lineage = Lineage()
        # The id may be a template, which isn't rendered in outlets: the alias stays the one that it is now.
        self._alias = AssetAlias(account_name(self.alias, self.conn_id, self.default_conn_id))
        if self.tables:
            self.add_outlets([self._alias])

    def lake(self) -> Lake:
        """Open the lake.

        :raises locus_stem.tables.lake.LakeError: the address, or the connection that it names, is wrong.
        """
        return open_lake(self.lake_uri or account_lake_uri(self.conn_id, self.default_conn_id))

    def asked(self, *tables: str) -> None:
        """Note for the lineage that the API was asked for all that goes into these tables."""
        self._read_from_api(endpoint.path for table in tables for endpoint in SOURCES[table])

    def _read_from_api(self, endpoints: Iterable[str]) -> None:
        if not lineage_wanted():
            return
        self._lineage.endpoints.update(endpoints)
        if self._lineage.endpoints and self._lineage.api is None:
            try:
                self._lineage.api = self.hook().credentials.host.rstrip("/")
            except Exception as error:  # noqa: BLE001 - a load needs no connection: it doesn't fail for want of one
                self.log.warning("The lineage doesn't name the API: %s", error)

    def wrote(
        self,
        context: Context,
        lake: Lake,
        written: Mapping[str, LoadCounts],
        *,
        endpoints: Sequence[str] | None = None,
        files: Sequence[str] = (),
        **about: Any,
    ) -> None:
        """Say which tables are up to date now: an event of each one's asset, and the task's lineage. It never fails.

        :param written: rows by table; one without changes is up to date as well, one that wasn't touched isn't here.
        :param endpoints: paths of those whose answers went into the tables; None: all that fill them.
        :param files: addresses of files that went into them.
        :param about: JSON values for the events' ``extra``: start, end, granularity, level.
        """
        for table, counts in written.items():
            assert table in self.tables, f"{table} isn't among the tables of {type(self).__name__}"  # noqa: S101
            state = self._state(lake, table)
            version = max(counts.versions.values(), default=state.version if state else None)
            asset = table_asset(table, conn_id=self.conn_id, lake_uri=lake.uri)
            rows = {
                f"rows_{kind}": getattr(counts, kind) for kind in ("new", "changed", "unchanged", "withdrawn")
            }
            context["outlet_events"][self._alias].add(asset, extra={**rows, "version": version, **about})
            self._lineage.tables[lake.table_uri(table)] = counts, state
        self._lineage.files.update(files)
        if endpoints is None:
            self.asked(*written)
        else:
            self._read_from_api(endpoints)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:  # noqa: ARG002
        """Tell OpenLineage what was read and written; its listener calls in a fork, where no table can be opened."""
        return self._lineage.to_openlineage()

    def _state(self, lake: Lake, table: str) -> TableState | None:
        from locus_stem.tables.state import state_of

        try:
            return state_of(lake, table)
        except Exception as error:  # noqa: BLE001 - the rows are committed: the task doesn't fail any more
            self.log.warning("Version and columns of %s can't be read: %s", table, error)
            return None

    @abstractmethod
    def hook(self) -> LocusHook | StemHook:
        """Give the connection's hook."""


class FetchOperator(VendorPool, AccountOperator):
    """A task that asks the API: it takes a slot of its account's pool.

    :param pool: default: the connection's pool, ``locus_api`` or ``stem_api``, with ``__<conn_id>`` behind it for
        another connection than the default one.
    """

    def __init__(self, *, conn_id: str | None = None, pool: str | None = None, **kwargs: Any) -> None:
        super().__init__(conn_id=conn_id, pool=pool or self.account_pool(conn_id), **kwargs)


class LocusOperator(AccountOperator):
    """A task of one Locus account.

    :param conn_id: connection of type ``locus`` (templated); default ``locus_default``.
    :param lake_uri: address of the lake (templated); empty: ``[locus_stem] lake_uri``, for another connection than
        the default one a folder named after it in there.
    """

    default_conn_id = LocusHook.default_conn_name
    vendor_pool = pools.LOCUS
    alias = "locus_tables"

    def hook(self) -> LocusHook:
        """Give the connection's hook."""
        return LocusHook(self.conn_id)


class StemOperator(AccountOperator):
    """A task of one Stem account.

    :param conn_id: connection of type ``stem`` (templated); default ``stem_default``.
    :param lake_uri: address of the lake (templated); empty: ``[locus_stem] lake_uri``, for another connection than
        the default one a folder named after it in there.
    """

    default_conn_id = StemHook.default_conn_name
    vendor_pool = pools.STEM
    alias = "stem_tables"

    def hook(self) -> StemHook:
        """Give the connection's hook."""
        return StemHook(self.conn_id)
