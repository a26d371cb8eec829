"""What all sensors do: look from a worker and be rescheduled, or hand over to a trigger."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from locus_stem import pools
from locus_stem.api.client import LocusClient, StemClient
from locus_stem.api.errors import LocusStemError
from locus_stem.hooks.locus import LocusHook
from locus_stem.hooks.masking import mask
from locus_stem.hooks.stem import StemHook
from locus_stem.operators.orphan import EndsWithSupervisor
from locus_stem.operators.vendor_pool import VendorPool
from locus_stem.sensors.streak import leave_for_the_next_look, left_by_the_last_look
from locus_stem.waits.patience import DEFAULT_ERRORS_FOR, judged
from locus_stem.waits.wait import look
from locus_stem.xcom import MAX_XCOM_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

    from locus_stem.triggers.wait import WaitTrigger
    from locus_stem.waits.wait import Wait

POKE_INTERVAL = timedelta(minutes=5)
#: In mode ``poke`` the worker sleeps between two looks.
LONGEST_SLEEP = timedelta(minutes=2)
DEFAULT_DEFERRABLE = conf.getboolean("operators", "default_deferrable", fallback=False)
#: Airflow's own pool.
OUTSIDE = "default_pool"


class WaitSensor(VendorPool, EndsWithSupervisor, BaseSensorOperator):
    """A task that waits at a vendor's API; see the vendors' classes.

    By default each look is a short turn in the connection's pool, and the task is rescheduled between two looks. With
    `deferrable` a trigger looks, outside of the pool: a deferred task would hold its slot all the time.

    Wrong arguments and credentials and what the API refuses fail the task at once, without retries. A 429 means to look
    later, not before the API's own delay. Other failures are looked over until they have lasted for `errors_for`.

    :param conn_id: connection (templated; then `pool` must be given, unless `deferrable`).
    :param pool: default: the connection's pool, ``locus_api`` or ``stem_api``, with ``__<conn_id>`` behind it for
        another connection than the default one; with `deferrable` Airflow's default pool.
    :param poke_interval: time between two looks; default five minutes, in mode ``poke`` two, which are its longest.
    :param mode: ``reschedule`` or ``poke``; the latter holds the pool's slot all the time.
    :param deferrable: default: Airflow's configuration ``[operators] default_deferrable``.
    :param errors_for: how long looks may fail in a row before the task does: a timedelta, or seconds.
    :param max_xcom_bytes: most that the task returns, in bytes of JSON: of alerts the first that fit; anything else
        that is larger fails the task.
    """

    template_fields: Sequence[str] = ("conn_id",)
    trigger: ClassVar[type[WaitTrigger]]

    def __init__(
        self,
        *,
        conn_id: str | None = None,
        pool: str | None = None,
        poke_interval: timedelta | float | None = None,
        mode: str = "reschedule",
        deferrable: bool = DEFAULT_DEFERRABLE,
        errors_for: timedelta | float = DEFAULT_ERRORS_FOR,
        max_xcom_bytes: int = MAX_XCOM_BYTES,
        priority_weight: int = pools.LOOK_PRIORITY,
        weight_rule: str = "absolute",
        **kwargs: Any,
    ) -> None:
        if poke_interval is None:
            poke_interval = LONGEST_SLEEP if mode == "poke" else POKE_INTERVAL
        pause = poke_interval if isinstance(poke_interval, timedelta) else timedelta(seconds=poke_interval)
        if mode == "poke" and not deferrable and pause > LONGEST_SLEEP:
            raise ValueError(
                f"poke_interval: {pause} is refused with mode='poke', which sleeps in the worker; allowed: at most "
                f"{LONGEST_SLEEP}, or mode='reschedule'"
            )
        super().__init__(
            pool=pool or (OUTSIDE if deferrable else self.account_pool(conn_id)),
            poke_interval=poke_interval,
            mode=mode,
            priority_weight=priority_weight,
            weight_rule=weight_rule,
            **kwargs,
        )
        self.conn_id = conn_id
        self.deferrable = deferrable
        self.errors_for = errors_for if isinstance(errors_for, timedelta) else timedelta(seconds=errors_for)
        self.max_xcom_bytes = max_xcom_bytes
        self._client: LocusClient | StemClient | None = None
        self._failing_since: datetime | None = None
        self._asked_to_wait = 0.0

    @classmethod
    def unless_named(cls, named: Mapping[str, Any]) -> dict[str, Any]:
        """Give what mapped tasks are scheduled by where their user names nothing else."""
        priority = {"priority_weight": pools.LOOK_PRIORITY, "weight_rule": "absolute"}
        found = {name: value for name, value in priority.items() if name not in named}
        if "pool" not in named and named.get("deferrable", DEFAULT_DEFERRABLE):
            return {**found, "pool": OUTSIDE}
        return {**found, **super().unless_named(named)}

    def execute(self, context: Context) -> Any:
        """Look until it is there, or hand over to the trigger, which takes the first look too."""
        if not self.deferrable:
            self._failing_since = left_by_the_last_look(context) if self.reschedule else None
            try:
                return super().execute(context)
            finally:
                self._close()
        try:
            trigger = self.trigger(
                conn_id=self.conn_id or self.default_conn_id,
                poke_interval=self.poke_interval,
                errors_for=self.errors_for.total_seconds(),
                max_xcom_bytes=self.max_xcom_bytes,
                **self.wait(context).settings(),
            )
        except AirflowFailException as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise
        return self.defer(
            trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=self.timeout)
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:  # noqa: ARG002 - Airflow's signature
        """Give on what the trigger found, or fail as it did."""
        if event["status"] != "success":
            raise AirflowFailException(event["message"])
        return event["value"]

    def poke(self, context: Context) -> PokeReturnValue:
        """Take one look."""
        wait = self.wait(context)
        self._asked_to_wait = 0.0
        try:
            if wait.lacks_partner:
                wait = replace(wait, partner_id=self.account_partner())  # type: ignore[call-arg]
            if self._client is None:
                self._client = self.client()
            found = look(wait, self._client, datetime.now(UTC))
            value = None if found is None else found.within(self.max_xcom_bytes)
        except LocusStemError as error:
            self._failed(error, context)
            return PokeReturnValue(False)
        self._failing_since = None
        if found is None:
            self.log.info("Not yet: %s", wait)
        return PokeReturnValue(found is not None, value)

    def _failed(self, error: LocusStemError, context: Context) -> None:
        try:
            later = judged(
                error,
                failing_since=self._failing_since,
                now=datetime.now(UTC),
                errors_for=self.errors_for,
            )
        except LocusStemError as final:
            raise AirflowFailException(str(final)) from error
        self.log.warning("%s", error)
        self._failing_since, self._asked_to_wait = later.failing_since, later.wait
        if self._failing_since is not None and self.reschedule:
            leave_for_the_next_look(context, self._failing_since, str(error))

    def _get_next_poke_interval(self, *args: Any, **kwargs: Any) -> float:
        interval: float = super()._get_next_poke_interval(*args, **kwargs)
        return max(interval, self._asked_to_wait)

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def wait(self, context: Context) -> Wait:
        """Read the rendered arguments.

        :raises AirflowFailException: one is refused.
        """
        try:
            return self.trigger.waits.read(**self.arguments(context))
        except ValueError as error:
            raise AirflowFailException(str(error)) from error

    def arguments(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - some take their defaults from there
        """Give what is waited for, by name."""
        return {name: getattr(self, name) for name in self.template_fields if name != "conn_id"}

    @abstractmethod
    def client(self) -> LocusClient | StemClient:
        """Open a client that sends each request once: the next look is its next try."""

    def account_partner(self) -> int:
        """Give the connection's partner; only Locus has some."""
        raise NotImplementedError


class LocusSensor(WaitSensor):
    """Wait at the Locus Energy v3 API."""

    default_conn_id = LocusHook.default_conn_name
    vendor_pool = pools.LOCUS

    def client(self) -> LocusClient:
        """Open a client."""
        return LocusClient(self._hook().credentials, on_token=mask, budget_seconds=0.0)

    def account_partner(self) -> int:
        """Give the connection's partner."""
        return self._hook().partner_id

    def _hook(self) -> LocusHook:
        return LocusHook(self.conn_id or self.default_conn_id)


class StemSensor(WaitSensor):
    """Wait at the Stem Developer Data API."""

    default_conn_id = StemHook.default_conn_name
    vendor_pool = pools.STEM

    def client(self) -> StemClient:
        """Open a client."""
        return StemClient(StemHook(self.conn_id or self.default_conn_id).credentials, budget_seconds=0.0)
