"""Keeping secrets out of Airflow's logs, in every spelling: its own masking knows a secret only as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import mask_secret
from asgiref.sync import sync_to_async

from locus_stem.api.spellings import spellings
from locus_stem.api.transport import environment_proxy

if TYPE_CHECKING:
    from locus_stem.api.credentials import LocusCredentials, StemCredentials

__all__ = ["mask", "mask_async", "secrets_of"]


def mask(*secrets: str | None) -> None:
    """Keep secrets out of every log of this task from here on."""
    if spelled := spellings(secrets):
        mask_secret(list(spelled))


async def mask_async(*secrets: str | None) -> None:
    """Do the same from within an event loop, as in a trigger."""
    await sync_to_async(mask)(*secrets)


def secrets_of(credentials: LocusCredentials | StemCredentials) -> tuple[str | None, ...]:
    """Give what no log may hold where these credentials are used: theirs, and the proxy's on the way.

    :raises ConfigurationError: the environment names a proxy that is none.
    """
    proxy = environment_proxy(credentials.host)
    return (*credentials.secrets, *(proxy.secrets if proxy else ()))
