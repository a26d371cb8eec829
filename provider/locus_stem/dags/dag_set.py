"""The whole set of DAGs for one account or several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locus_stem.config import account_lake_uri
from locus_stem.dags.account import LocusAccount, StemAccount
from locus_stem.dags.alert_sync import locus_alert_sync
from locus_stem.dags.daily_backfill import locus_daily_backfill
from locus_stem.dags.inventory import locus_inventory
from locus_stem.dags.lake_maintenance import lake_maintenance
from locus_stem.dags.monthly_bulk import locus_monthly_bulk
from locus_stem.dags.stem_daily_backfill import stem_daily_backfill
from locus_stem.tables.address import LakeAddress, LakeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.providers.common.compat.sdk import DAG

    from locus_stem.dags.account import Account

#: What makes each vendor's DAGs, by the DAG's name for the default connection.
LOCUS: Mapping[str, Callable[..., DAG]] = {
    make.__name__: make
    for make in (locus_inventory, locus_daily_backfill, locus_alert_sync, locus_monthly_bulk)
}
STEM: Mapping[str, Callable[..., DAG]] = {stem_daily_backfill.__name__: stem_daily_backfill}
LAKE: Mapping[str, Callable[..., DAG]] = {lake_maintenance.__name__: lake_maintenance}


def account_dags(
    *accounts: LocusAccount | StemAccount,
    schedules: Mapping[str, str] | None = None,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[DAG]:
    """Make every DAG of one or more accounts, and one that maintains each lake of theirs.

    Called in a DAG file it is enough: Airflow finds DAGs that a file's functions make. The file must contain the words
    "airflow" and "dag", or Airflow doesn't read it.

    .. code-block:: python

        from locus_stem.dags import LocusAccount, account_dags  # for Airflow

        account_dags(LocusAccount("locus_west"))

    :param accounts: those of the default connections share a lake; each other has a lake of its own, unless
        ``lake_uri`` says otherwise. A Locus and a Stem account can share one, two of one vendor can't: the tables'
        keys don't name the account.
    :param schedules: other schedules (cron, in UTC) than the usual ones, by the DAG's name without its account.
    :param defaults: other defaults of params, by the DAG's name and the param's.
    :return: the DAGs.
    :raises ValueError: no account is given, two of one vendor have one lake, or a name of a DAG or param isn't there.
    """
    if not accounts:
        raise ValueError("account_dags: no account is given; give LocusAccount(), StemAccount() or both")
    lakes = _one_a_lake(accounts)
    makers: list[tuple[Account, str, Callable[..., DAG]]] = [
        (account, name, make) for account in accounts for name, make in _vendor(account).items()
    ]
    makers += [(account, name, make) for account in lakes for name, make in LAKE.items()]
    names = list(dict.fromkeys(name for _, name, _ in makers))
    changed: dict[str, dict[str, Any]] = {name: {} for name in names}
    for what, argument, given in (
        ("schedules", "schedule", schedules or {}),
        ("defaults", "defaults", defaults or {}),
    ):
        for name, value in given.items():
            if name not in changed:
                raise ValueError(f"{what}: no such DAG: {name!r}; there are: {', '.join(names)}")
            changed[name][argument] = value
    return [make(account, **changed[name]) for account, name, make in makers]


def _vendor(account: Account) -> Mapping[str, Callable[..., DAG]]:
    return LOCUS if isinstance(account, LocusAccount) else STEM


def _one_a_lake(accounts: tuple[Account, ...]) -> list[Account]:
    """Give one account of each lake, one with the default connection first.

    :raises ValueError: two accounts of one vendor have one lake.
    """
    by_default = sorted(accounts, key=lambda account: account.conn_id != account.default_conn_id)
    lakes: dict[str, Account] = {}
    owners: dict[tuple[str, type[Account]], str] = {}
    for account in by_default:
        lake = _name(account.lake_uri or account_lake_uri(account.conn_id, account.default_conn_id))
        owner = owners.get((lake, type(account)))
        if owner == account.conn_id:
            raise ValueError(f"account_dags: {owner} is given twice")
        if owner is not None:
            raise ValueError(
                f"account_dags: {owner} and {account.conn_id} can't share a lake: one account's runs would take the "
                "other's rows for removed; give each a lake_uri of its own, or none"
            )
        owners[lake, type(account)] = account.conn_id
        lakes.setdefault(lake, account)
    return list(lakes.values())


def _name(lake_uri: str) -> str:
    """Give a lake's name; an address that is none stays as it is, for the task that opens it to refuse."""
    try:
        return LakeAddress.parse(lake_uri).uri
    except LakeError:
        return lake_uri
