"""Keeping secrets out of Airflow's logs, in every spelling: its own masking knows a secret only as it is.

Airflow masks a task's log, not what its processes print: LocalExecutor prints each task's records as well, and the
API server those of a connection's test. So the records of libraries that tell what a server answered lose their secrets
here. Nor does it know a secret before it is named: what a library logs while it is given keys isn't logged at all.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import mask_secret
from asgiref.sync import sync_to_async

from locus_stem.api.spellings import spellings, without
from locus_stem.api.transport import environment_proxy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from locus_stem.api.credentials import LocusCredentials, StemCredentials

__all__ = ["mask", "mask_async", "quieten_aws", "secrets_of"]

#: They log what a server answered as Python shows it, at DEBUG: their first word stays, the event.
WORDY = tuple(f"httpcore.{name}" for name in ("connection", "http11", "http2", "proxy", "socks"))
#: They log requests, answers, settings and what is signed at DEBUG: a role's keys among it, which nobody knows before.
AWS = tuple(
    f"botocore.{name}"
    for name in (
        "auth",
        "awsrequest",
        "client",
        "configprovider",
        "credentials",
        "endpoint",
        "handlers",
        "history",
        "httpsession",
        "parsers",
        "regions",
        "retries.standard",
        "retryhandler",
        "session",
        "tokens",
        "utils",
    )
)
#: They log addresses and a server's reason.
TELLING = (
    "httpx",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
)
#: Shorter ones would be found in every word; Airflow masks none of them either.
SHORTEST = 5


def _event(record: logging.LogRecord) -> bool:
    record.msg, record.args = record.getMessage().partition(" ")[0], ()
    record.exc_info = record.exc_text = None
    return True


def _no_exchange(record: logging.LogRecord) -> bool:
    record.exc_info = record.exc_text = None  # it quotes answers and fields of connections
    return record.levelno > logging.DEBUG


class _Scrubbing(logging.Filter):
    """Takes secrets out of a record before any handler sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.spelled: frozenset[str] = frozenset()
        self._adding = threading.Lock()

    def add(self, spelled: Iterable[str]) -> None:
        """Take these out too; never in place, since other threads' records are being looked through."""
        with self._adding:
            self.spelled |= {one for one in spelled if len(one) >= SHORTEST}

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
        record.msg, record.args = without(text, self.spelled), ()
        record.exc_info = record.exc_text = None
        return True


_scrubbing = _Scrubbing()


def mask(*secrets: str | None) -> None:
    """Keep secrets out of every log of this task from here on, and out of what libraries log in this process."""
    if spelled := spellings(secrets):
        _scrubbing.add(spelled)
        for name in TELLING:
            logging.getLogger(name).addFilter(_scrubbing)
        for name in WORDY:
            logging.getLogger(name).addFilter(_event)
        mask_secret(list(spelled))


def quieten_aws() -> None:
    """Let no library log what it exchanges with AWS, before the first key is asked for: some are given out there."""
    for name in AWS:
        logging.getLogger(name).addFilter(_no_exchange)


async def mask_async(*secrets: str | None) -> None:
    """Do the same from within an event loop, as in a trigger."""
    await sync_to_async(mask)(*secrets)


def secrets_of(credentials: LocusCredentials | StemCredentials) -> tuple[str | None, ...]:
    """Give what no log may hold where these credentials are used: theirs, and the proxy's on the way.

    :raises ConfigurationError: the environment names a proxy that is none.
    """
    proxy = environment_proxy(credentials.host)
    return (*credentials.secrets, *(proxy.secrets if proxy else ()))
