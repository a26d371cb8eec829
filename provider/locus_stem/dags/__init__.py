"""Functions that make the DAGs."""

from __future__ import annotations

from locus_stem.dags.account import LocusAccount, StemAccount
from locus_stem.dags.dag_set import account_dags

__all__ = ["LocusAccount", "StemAccount", "account_dags"]
