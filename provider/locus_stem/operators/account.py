"""What every task of an account's pipelines has: a connection and a lake."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from locus_stem.config import account_lake_uri
from locus_stem.hooks.locus import LocusHook
from locus_stem.hooks.stem import StemHook
from locus_stem.operators.retries import retry_by_cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from locus_stem.tables.lake import Lake


class AccountOperator(BaseOperator):
    """A task of one account: its connection and its lake; see the vendors' classes."""

    template_fields: Sequence[str] = ("conn_id", "lake_uri")
    default_conn_id: ClassVar[str]

    def __init__(self, *, conn_id: str | None = None, lake_uri: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        retry_by_cause(self)
        self.conn_id = conn_id or self.default_conn_id
        self.lake_uri = lake_uri

    def lake(self) -> Lake:
        """Open the lake.

        :raises locus_stem.tables.lake.LakeError: the address is wrong.
        """
        from locus_stem.tables.lake import Lake

        return Lake(self.lake_uri or account_lake_uri(self.conn_id, self.default_conn_id))

    @abstractmethod
    def hook(self) -> LocusHook | StemHook:
        """Give the connection's hook."""


class LocusOperator(AccountOperator):
    """A task of one Locus account.

    :param conn_id: connection of type ``locus`` (templated); default ``locus_default``.
    :param lake_uri: address of the lake (templated); empty: ``[locus_stem] lake_uri``, for another connection than
        the default one a folder named after it in there.
    """

    default_conn_id = LocusHook.default_conn_name

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

    def hook(self) -> StemHook:
        """Give the connection's hook."""
        return StemHook(self.conn_id)
