"""Operators of the vendors' endpoints: one class a vendor, the endpoint is an argument."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from locus_stem import pools
from locus_stem.api.endpoint import endpoints_of
from locus_stem.api.errors import StemNoData, StemStreamUnavailable
from locus_stem.api.locus import LocusEndpoints
from locus_stem.api.stem import StemEndpoints
from locus_stem.hooks.locus import LocusHook
from locus_stem.hooks.stem import StemHook
from locus_stem.operators.orphan import EndsWithSupervisor
from locus_stem.operators.result import check_path, hand_over
from locus_stem.operators.retries import known_causes, retry_by_cause
from locus_stem.operators.vendor_pool import VendorPool
from locus_stem.xcom import MAX_XCOM_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from locus_stem.api.client import StemClient
    from locus_stem.api.endpoint import Call, Endpoint


class VendorOperator(VendorPool, EndsWithSupervisor, BaseOperator):
    """A task that asks a vendor's API and hands the answer over.

    An answer of at most `max_xcom_bytes` is the task's return value. With `path` it is written there instead, an
    object a line, whole or not at all, and the task returns ``{"path": …, "lines": …}``. Mapped tasks need a path each:
    put ``{{ ti.map_index }}`` in it.

    Wrong arguments and credentials and what the API refuses fail the task at once, without retries; what may work
    later is retried as the task says, after the API's own delay where it names one.

    :param conn_id: connection (templated; then `pool` must be given).
    :param pool: default: the connection's pool, ``locus_api`` or ``stem_api``, with ``__<conn_id>`` behind it for
        another connection than the default one. It keeps to the account's limit of requests in flight.
    :param path: where to write the answer, as ``airflow.sdk.ObjectStoragePath`` takes it (templated).
    :param max_xcom_bytes: largest answer that is returned, in bytes of JSON.
    """

    template_fields: Sequence[str] = ("conn_id", "path")

    def __init__(
        self,
        *,
        conn_id: str | None = None,
        pool: str | None = None,
        path: str | ObjectStoragePath | None = None,
        max_xcom_bytes: int = MAX_XCOM_BYTES,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool=pool or self.account_pool(conn_id), **kwargs)
        retry_by_cause(self)
        self.conn_id = conn_id
        self.path = path
        self.max_xcom_bytes = max_xcom_bytes

    def execute(self, context: Context) -> Any:
        """Ask, and hand the answer over."""
        with known_causes(context):
            with refused_arguments():
                check_path(self.path)
            answer = self.ask(context)
        return hand_over(answer, path=self.path, max_xcom_bytes=self.max_xcom_bytes, what=self.what)

    @property
    def what(self) -> str:
        """What is asked for, for messages."""
        return self.task_id

    @abstractmethod
    def ask(self, context: Context) -> list[dict[str, Any]] | dict[str, Any]:
        """Ask the API."""


class _EndpointOperator(VendorOperator):
    """Ask one endpoint once; see the vendors' classes.

    :param endpoint: the hook method's name.
    :param arguments: the method's arguments by name (templated); checked once they are rendered.
    :param keys: what to keep of each of the answer's objects (templated); default: everything.
    """

    template_fields: Sequence[str] = (*VendorOperator.template_fields, "arguments", "keys")
    template_fields_renderers: ClassVar[dict[str, str]] = {"arguments": "json"}
    endpoints: ClassVar[type]

    def __init__(
        self,
        *,
        endpoint: str,
        arguments: Mapping[str, Any] | None = None,
        keys: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint = endpoint
        self.arguments = arguments
        self.keys = keys
        self.described()  # refuses an unknown one when the DAG is read

    def described(self) -> Endpoint:
        """Give the endpoint's description.

        :raises ValueError: there is none of this name.
        """
        known = {endpoint.name: endpoint for endpoint in endpoints_of(self.endpoints)}
        if self.endpoint not in known:
            near = get_close_matches(str(self.endpoint), known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(
                f"endpoint: {self.endpoint!r} is refused; {hint}allowed: one of {', '.join(known)}"
            )
        return known[self.endpoint]

    @property
    def what(self) -> str:
        """The endpoint."""
        return self.endpoint

    def ask(self, context: Context) -> list[dict[str, Any]] | dict[str, Any]:  # noqa: ARG002
        """Check the rendered arguments and send the call."""
        with refused_arguments():
            call = self.described().request(**{**self.defaults(), **self._given()})
            keys = None if self.keys is None else checked_names("keys", self.keys)
        self.log.info("%s %s", call.endpoint.method, call.target)
        answer: Any = self.send(call)
        if keys is not None:
            answer = [_only(item, keys) for item in answer] if call.endpoint.many else _only(answer, keys)
        return answer  # type: ignore[no-any-return]

    def _given(self) -> dict[str, Any]:
        given = {} if self.arguments is None else self.arguments
        if not hasattr(given, "keys"):
            raise ValueError(f"arguments: {given!r} is refused; allowed: a mapping of argument to value")
        return {name: value for name, value in given.items() if value is not None}

    def defaults(self) -> dict[str, Any]:
        """Arguments that the connection has."""
        return {}

    @abstractmethod
    def send(self, call: Call) -> Any:
        """Send the call and give the whole answer."""


class LocusEndpointOperator(_EndpointOperator):
    """Ask an endpoint of the Locus Energy v3 API.

    .. code-block:: python

        LocusEndpointOperator(
            task_id="yesterday",
            endpoint="get_site_data",
            arguments={
                "site_id": 3000001,
                "fields": ["Wh_sum"],
                "gran": "hourly",
                "start": "{{ data_interval_start | ds }}T00:00:00",
                "end": "{{ data_interval_start | ds }}T23:59:59",
                "tz": "UTC",
            },
        )

    :param endpoint: the hook method's name, ``get_site_data``; see :class:`~locus_stem.hooks.locus.LocusHook`.
    :param arguments: the method's arguments by name (templated); ``partner_id`` may be left out: then it is the
        connection's.
    :param keys: what to keep of each of the answer's objects (templated), as ``["id", "name"]``; default: everything.
    :param conn_id: connection of type ``locus``; default ``locus_default``.
    """

    endpoints = LocusEndpoints
    default_conn_id = LocusHook.default_conn_name
    vendor_pool = pools.LOCUS

    def hook(self) -> LocusHook:
        """Give the connection's hook."""
        return LocusHook(self.conn_id or self.default_conn_id)

    def defaults(self) -> dict[str, Any]:
        """Give the connection's partner where the endpoint wants one that the arguments don't name."""
        wanted = any(param.argument == "partner_id" for param in self.described().ids)
        if not wanted or self._given().get("partner_id") is not None:
            return {}
        return {"partner_id": self.hook().partner_id}

    def send(self, call: Call) -> Any:
        """Send the call."""
        with self.hook().get_conn() as client:
            return client.call(call)


class StemEndpointOperator(_EndpointOperator):
    """Ask an endpoint of the Stem Developer Data API.

    Lists are followed page by page from the argument ``page`` on to the end, each id once. Streams for which the API
    says that it holds no data, or that the site doesn't have them, are left out: that is an answer, not an error.

    .. code-block:: python

        StemEndpointOperator(
            task_id="streams",
            endpoint="get_site_streams",
            arguments={
                "site_id": "Warehouse 1",
                "start": "{{ data_interval_start.strftime('%Y-%m-%dT%H:%M:%SZ') }}",
                "end": "{{ data_interval_end.strftime('%Y-%m-%dT%H:%M:%SZ') }}",
                "stream_type": ["MONITOR", "CONVERTER"],
            },
        )

    :param endpoint: the hook method's name, ``get_site_streams``; see :class:`~locus_stem.hooks.stem.StemHook`.
    :param arguments: the method's arguments by name (templated).
    :param keys: what to keep of each of the answer's objects (templated), as ``["id", "name"]``; default: everything.
    :param conn_id: connection of type ``stem``; default ``stem_default``.
    """

    endpoints = StemEndpoints
    default_conn_id = StemHook.default_conn_name
    vendor_pool = pools.STEM

    def send(self, call: Call) -> Any:
        """Send the call; follow the pages of a list."""
        with StemHook(self.conn_id or self.default_conn_id).get_conn() as client:
            if any(param.argument == "page" for param in call.endpoint.query):
                return list(client.pages(call))
            return self._streams(client, call) if call.endpoint.many else client.call(call)

    def _streams(self, client: StemClient, call: Call) -> Any:
        asked = checked_names("stream_type", call.arguments.get("stream_type", ()))
        try:
            return client.call(call)
        except StemNoData as error:
            self.log.info("No data: %s", error)
            return []
        except StemStreamUnavailable as error:
            self.log.warning("Left out: %s", error)
            left = [name for name in asked if name != error.stream_type]
            if not left:
                return []
            if len(left) == len(asked):  # it doesn't say which one the site lacks
                raise
        return self._streams(client, call.endpoint.request(**{**call.arguments, "stream_type": left}))


@contextmanager
def refused_arguments() -> Iterator[None]:
    """Fail at once, without retries, on an argument that is refused: another try would send the same one."""
    try:
        yield
    except ValueError as error:
        raise AirflowFailException(str(error)) from error


def checked_names(argument: str, names: Any) -> tuple[str, ...]:
    """Read a list of names, or one text with commas.

    :raises ValueError: it is something else; names the argument.
    """
    found = names.split(",") if isinstance(names, str) else names
    if not isinstance(found, list | tuple) or not all(
        isinstance(name, str) and name.strip() for name in found
    ):
        raise ValueError(
            f"{argument}: {names!r} is refused; allowed: a list of texts, or one text with commas"
        )
    return tuple(name.strip() for name in found)


def _only(item: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: item[key] for key in keys if key in item}
