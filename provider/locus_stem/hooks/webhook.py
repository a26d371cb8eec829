"""A user's webhook: an ordinary Airflow connection of type ``http``."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from locus_stem.api.errors import ConfigurationError
from locus_stem.hooks.connection import defined
from locus_stem.hooks.masking import mask
from locus_stem.hooks.webhook_connection import checked_address, secrets_in
from locus_stem.pipelines.webhook_reply import Reply, Verdict

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from airflow.providers.common.compat.sdk import Connection
    from airflow.providers.http.hooks.http import HttpHook
    from requests import Session

#: Seconds that a post may take, unless the connection's extra ``timeout`` says less or more; at most a minute.
TIMEOUT, LONGEST_TIMEOUT = 30.0, 60.0
#: Seconds beyond it that a post may take in all, an answer that drips included.
GRACE = 1.0
#: Bytes of an answer that are read so that its connection can be used again.
READ_BYTES = 65_536


class Webhook:
    """Posts JSON to the address of a connection of type ``http``, its login and headers with it.

    Redirects aren't followed: they would carry the login elsewhere. What goes wrong is said without the address,
    which may hold a token.

    :param conn_id: the connection's id.
    """

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self._session: Session | None = None

    def __enter__(self) -> Self:
        self._session = self._hook.get_conn({"Content-Type": "application/json"}, {"check_response": False})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            self._session.close()

    def check(self) -> Self:
        """Check the connection's fields; nothing is sent.

        :raises ConfigurationError: there is none of this id, or a field is missing or wrong.
        """
        connection = self._connection
        label = f"webhook connection {self.conn_id!r}"
        if connection.conn_type != "http":
            raise ConfigurationError(f"{label} isn't of the type 'http', which is needed")
        if not connection.host:
            raise ConfigurationError(f"{label}: field host is missing; set it to the webhook's address")
        address = checked_address(connection, label, self._hook)
        mask(*secrets_in(connection, label, address))
        self._timeout()
        return self

    def post(self, body: bytes, key: str) -> Reply:
        """Post a JSON body with an idempotency key; call it within ``with``.

        An answer whose headers drip, or never end, would hold the task for ever, since each wait for bytes is short: so
        the post runs in a thread, which is left alone at the time's end.
        """
        if self._session is None:
            raise RuntimeError("a webhook posts only within its with block")
        replies: list[Reply] = []
        # the connection is read here: threads other than the task's have no way to Airflow
        address, timeout = self._hook.url_from_endpoint(None), self._timeout()
        poster = threading.Thread(
            target=lambda: replies.append(_posted(self._session, address, body, key, timeout)),
            name="locus-stem-webhook",
            daemon=True,
        )
        poster.start()
        poster.join(timeout + GRACE)
        if not replies:
            return Reply(Verdict.UNAVAILABLE, f"no whole answer within {timeout:g} s")
        return replies[0]

    @cached_property
    def _hook(self) -> HttpHook:
        from airflow.providers.http.hooks.http import HttpHook

        return HttpHook(method="POST", http_conn_id=self.conn_id)

    @cached_property
    def _connection(self) -> Connection:
        return defined(self._hook, self.conn_id, "http")

    def _timeout(self) -> float:
        value: Any = self._connection.extra_dejson.get("timeout")
        if value is None or value == "":
            return TIMEOUT
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            seconds = 0.0
        if not 0 < seconds <= LONGEST_TIMEOUT:
            raise ConfigurationError(
                f"webhook connection {self.conn_id!r}: field timeout (in extra) can't be used; allowed: a number "
                f"of seconds above 0 and at most {LONGEST_TIMEOUT:.0f}"
            )
        return seconds


def _posted(session: Any, address: str, body: bytes, key: str, timeout: float) -> Reply:
    import requests

    try:
        response = session.post(
            address,
            data=body,
            headers={"Content-Type": "application/json", "Idempotency-Key": key},
            timeout=timeout,
            allow_redirects=False,
            stream=True,
        )
    except requests.Timeout:
        return Reply(Verdict.UNAVAILABLE, f"no answer within {timeout:g} s")
    except requests.exceptions.SSLError:
        return Reply(Verdict.UNAVAILABLE, "no TLS connection: its certificate or protocol is refused")
    except requests.ConnectionError:
        return Reply(Verdict.UNAVAILABLE, "no connection, or it was cut off")
    except Exception as error:  # noqa: BLE001 - a garbled answer raises what http.client raises
        return Reply(Verdict.WRONG, f"it can't be posted to ({type(error).__name__})")
    with response:
        try:
            response.raw.read1(READ_BYTES)  # once: a body that drips would hold the task
        except Exception:  # noqa: BLE001  # the answer's status is here; its body is of no use
            response.close()
    return Reply.of_status(response.status_code)
