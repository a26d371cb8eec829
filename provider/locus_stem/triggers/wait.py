"""What all triggers do: look, wait, look again, until it is there or can't come."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from locus_stem.api.client import AsyncLocusClient, AsyncStemClient
from locus_stem.api.errors import LocusStemError, RateLimitedError
from locus_stem.hooks.connection import defined_async, locus_credentials, partner_of, stem_credentials
from locus_stem.hooks.masking import mask_async, secrets_of
from locus_stem.triggers.gate import gate_of
from locus_stem.waits.patience import judged
from locus_stem.waits.wait import look_async
from locus_stem.xcom import MAX_XCOM_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from locus_stem.api.credentials import LocusCredentials, StemCredentials
    from locus_stem.waits.wait import Wait


class WaitTrigger(BaseTrigger):
    """Wait at a vendor's API; see the vendors' classes.

    One look at a time is taken with the same credentials, by all triggers of a triggerer together. A 429 means to look
    later. Looks that fail otherwise are taken again until they have failed in a row for `errors_for`; the count begins
    anew where the triggerer does.

    Fires ``{"status": "success", "value": …}`` or ``{"status": "failed", "message": …}``.

    :param conn_id: connection; its secrets are read in the triggerer.
    :param poke_interval: seconds between two looks.
    :param errors_for: seconds.
    :param max_xcom_bytes: most that the event's value takes, in bytes of JSON.
    :param settings: what is waited for; the sensor's arguments of the same names.
    """

    waits: ClassVar[type[Wait]]

    def __init__(
        self,
        *,
        conn_id: str,
        poke_interval: float,
        errors_for: float,
        max_xcom_bytes: int = MAX_XCOM_BYTES,
        **settings: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.conn_id = conn_id
        self.poke_interval = poke_interval
        self.errors_for = errors_for
        self.max_xcom_bytes = max_xcom_bytes
        self.wait = self.waits.read(**settings)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class and its arguments as JSON values."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "conn_id": self.conn_id,
            "poke_interval": self.poke_interval,
            "errors_for": self.errors_for,
            "max_xcom_bytes": self.max_xcom_bytes,
            **self.wait.settings(),
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire once."""
        try:
            value = await self._waited()
        except LocusStemError as error:
            yield TriggerEvent({"status": "failed", "message": str(error)})  # type: ignore[no-untyped-call]
        else:
            yield TriggerEvent({"status": "success", "value": value})  # type: ignore[no-untyped-call]

    async def _waited(self) -> Any:
        credentials = await self.credentials()
        gate, wait = gate_of(credentials), self._complete(credentials)
        failing_since: datetime | None = None
        async with self.client(credentials) as client:
            while True:
                async with gate.lock:
                    pause = gate.shut_for
                    if not pause:
                        pause = self.poke_interval
                        now = datetime.now(UTC)
                        try:
                            found = await look_async(wait, client, now)
                            if found is not None:
                                return found.within(self.max_xcom_bytes)
                        except LocusStemError as error:
                            errors_for = timedelta(seconds=self.errors_for)
                            later = judged(
                                error,
                                failing_since=failing_since,
                                now=datetime.now(UTC),
                                errors_for=errors_for,
                            )
                            failing_since, pause = later.failing_since, max(pause, later.wait)
                            if isinstance(error, RateLimitedError):
                                gate.shut(later.wait)
                            self.log.warning("%s. Looking again in %.0f s", error, pause)
                        else:
                            failing_since = None
                            self.log.info("Not yet: %s. Looking again in %.0f s", self.wait, pause)
                await asyncio.sleep(pause)

    def _complete(self, credentials: Any) -> Wait:
        if not self.wait.lacks_partner:
            return self.wait
        return replace(self.wait, partner_id=partner_of(credentials))  # type: ignore[call-arg]

    @abstractmethod
    async def credentials(self) -> LocusCredentials | StemCredentials:
        """Read the connection."""

    @abstractmethod
    def client(self, credentials: Any) -> AsyncLocusClient | AsyncStemClient:
        """Open a client that sends each request once: the next look is its next try."""


class LocusTrigger(WaitTrigger):
    """Wait at the Locus Energy v3 API."""

    async def credentials(self) -> LocusCredentials:
        """Read the connection."""
        credentials = locus_credentials(await defined_async(self.conn_id, "locus"))
        await mask_async(*secrets_of(credentials))
        return credentials

    def client(self, credentials: LocusCredentials) -> AsyncLocusClient:
        """Open a client."""
        return AsyncLocusClient(credentials, on_token=mask_async, budget_seconds=0.0)


class StemTrigger(WaitTrigger):
    """Wait at the Stem Developer Data API."""

    async def credentials(self) -> StemCredentials:
        """Read the connection."""
        credentials = stem_credentials(await defined_async(self.conn_id, "stem"))
        await mask_async(*secrets_of(credentials))
        return credentials

    def client(self, credentials: StemCredentials) -> AsyncStemClient:
        """Open a client."""
        return AsyncStemClient(credentials, budget_seconds=0.0)
