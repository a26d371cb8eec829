"""S3 and what speaks its language: one chain of keys for both engines, and a look before anything is asked of an API.

deltalake and pyarrow each have a chain of their own for keys, region and endpoint, and the two differ (profiles, web
identity, containers, SSO). So neither is used: botocore finds all of it, as the AWS command line does, and both engines
are told. Keys are looked up whenever a table is opened, and botocore renews those that end within 15 minutes.
"""

from __future__ import annotations

import os
import re
import threading
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import pyarrow as pa
import pyarrow.fs

from locus_stem.tables.address import LakeError
from locus_stem.tables.s3_errors import STS, explained, refuse_other_region, without_colours

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from botocore.client import BaseClient
    from botocore.credentials import ReadOnlyCredentials

    from locus_stem.tables.address import LakeAddress

__all__ = ["ENVIRONMENT", "REGION", "S3Store", "environment_session", "refuse_blanks", "without_login"]

ENVIRONMENT = "the environment's own keys"
MISSING = "needs boto3: pip install 'airflow-provider-locus-stem[s3]'"
#: Where both engines find the store by the region alone.
AWS_ENDPOINT = re.compile(r"s3(\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?")
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
REGION = re.compile("[a-z0-9-]+")
#: What no key has: as a rule the line break of a file that one was read from. A secret can be a phrase.
BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")
BLANK_OF_SECRET = re.compile(r"^\s|\s$|[\x00-\x1f\x7f-\x9f]")
CONNECT_SECONDS = 5.0
#: The look before everything else ends within half a minute, whatever the endpoint does.
ANSWER_SECONDS = 8.0
LOOKS = 2
#: A busy store says so; pyarrow's own three tries last a second.
TRIES = 6


class S3Store:
    """Where a lake of ``s3://`` is and with whose keys it is opened.

    :param address: the lake's
    :param make_session: makes the boto3 session whose keys they are
    :param label: whose keys they are, for messages
    :param region: None: that of the environment or the session
    :param endpoint: URL of another store than AWS's; None: as boto3 finds it (``AWS_ENDPOINT_URL``)
    :param virtual: whether another store than AWS's has the bucket in its host name; None: as
        ``AWS_VIRTUAL_HOSTED_STYLE_REQUEST`` says
    :param allow_http: whether plain http is fine beyond loopback; None: as ``AWS_ALLOW_HTTP`` says
    :param mask: is told each secret before it is used
    :param hidden: what no message may show although it is no key: a connection's other fields
    """

    def __init__(
        self,
        address: LakeAddress,
        make_session: Callable[[], Any],
        *,
        label: str = ENVIRONMENT,
        region: str | None = None,
        endpoint: str | None = None,
        virtual: bool | None = None,
        allow_http: bool | None = None,
        mask: Callable[[str], None] | None = None,
        hidden: Sequence[str] = (),
    ) -> None:
        self.address, self.label = address, label
        self._make_session, self._region, self._endpoint = make_session, region, endpoint
        self._virtual = _flag("AWS_VIRTUAL_HOSTED_STYLE_REQUEST") if virtual is None else virtual
        self._allow_http = _flag("AWS_ALLOW_HTTP") if allow_http is None else allow_http
        self._mask, self._hidden = mask, hidden
        self._secrets: list[str] = []
        self._making = threading.Lock()
        self._asking: tuple[Any, BaseClient] | None = None
        self._filesystem: tuple[ReadOnlyCredentials, pyarrow.fs.FileSystem] | None = None

    def delta_options(self) -> dict[str, str]:
        """Give deltalake's storage options; all that it would else take from the environment is among them.

        ``AWS_CONDITIONAL_PUT`` and the like of the environment can't make commits unsafe: this is the only kind.
        """
        keys, (endpoint, region) = self._keys(), self._place()
        if not keys.token and os.environ.get("AWS_SESSION_TOKEN"):
            raise LakeError(
                f"lake {self.address.uri}: AWS_SESSION_TOKEN is set in the environment and doesn't belong to "
                f"{self.label}, and deltalake would send it with them: unset it for this process"
            )
        host = urlsplit(endpoint)
        virtual = self._virtual and not _is_aws(endpoint)
        if virtual:  # deltalake wants the bucket in the endpoint
            endpoint = f"{host.scheme}://{self.address.place}.{host.netloc}"
        return {
            "aws_access_key_id": keys.access_key,
            "aws_secret_access_key": keys.secret_key,
            **({"aws_session_token": keys.token} if keys.token else {}),
            "aws_region": region,
            "aws_endpoint_url": endpoint,
            "aws_allow_http": str(host.scheme == "http").lower(),
            "aws_virtual_hosted_style_request": str(virtual).lower(),
            "aws_skip_signature": "false",
            "aws_conditional_put": "etag",
        }

    def filesystem(self) -> pyarrow.fs.FileSystem:
        """Give pyarrow's file system; its connections are kept as long as its keys."""
        keys = self._keys()
        if self._filesystem is None or self._filesystem[0] != keys:
            self._filesystem = keys, pyarrow.fs.S3FileSystem(**self._arrow_options(keys))
        return self._filesystem[1]

    def check(self) -> None:
        """List, write, read and remove a probe, with every engine; make sure that a put can be conditional.

        :raises LakeError: bucket, keys, rights or region are wrong, or the store is unfit
        :raises LakeUnavailableError: it doesn't answer, or not as it should
        """
        from botocore.exceptions import BotoCoreError, ClientError

        client, bucket = self._client(), self.address.place
        probe = f"{self.address.path}/.probe-{uuid.uuid4().hex}".lstrip("/")
        with self._explained("s3:ListBucket"):
            client.list_objects_v2(Bucket=bucket, Prefix=probe, MaxKeys=1)
        with self._explained("s3:PutObject"):
            client.put_object(Bucket=bucket, Key=probe, Body=b"probe", IfNoneMatch="*")
        try:
            with self._explained("s3:PutObject"):
                self._check_conditional(client, bucket, probe)
            with self._explained("s3:GetObject"):
                client.get_object(Bucket=bucket, Key=probe)["Body"].read()
                self._check_engines(probe)
        except BaseException:
            with suppress(BotoCoreError, ClientError):
                client.delete_object(Bucket=bucket, Key=probe)
            raise
        with self._explained("s3:DeleteObject"):
            client.delete_object(Bucket=bucket, Key=probe)

    def _check_conditional(self, client: BaseClient, bucket: str, probe: str) -> None:
        from botocore.exceptions import ClientError

        try:
            client.put_object(Bucket=bucket, Key=probe, Body=b"probe", IfNoneMatch="*")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in {409, 412}:
                return
            raise
        raise LakeError(
            f"lake {self.address.uri}: the store at {self._place()[0]} has no conditional puts (If-None-Match), "
            "without which two writers would overwrite each other's commits; use one that has them"
        )

    def _check_engines(self, probe: str) -> None:
        from deltalake import DeltaTable

        try:
            with self.filesystem().open_input_stream(f"{self.address.place}/{probe}") as stream:
                stream.read()
            DeltaTable.is_deltatable(f"s3://{self.address.place}/{probe}", self.delta_options())
        except (OSError, pa.ArrowException) as error:
            raise LakeError(
                f"lake {self.address.uri}: boto3 reaches the store with {self.label}, deltalake or pyarrow don't: "
                f"{without_colours(error)}"
            ) from error

    def _arrow_options(self, keys: ReadOnlyCredentials) -> dict[str, Any]:
        endpoint, region = self._place()
        found: dict[str, Any] = {
            "access_key": keys.access_key,
            "secret_key": keys.secret_key,
            "session_token": keys.token,
            "region": region,
            "connect_timeout": CONNECT_SECONDS,
            "retry_strategy": pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=TRIES),
            "allow_delayed_open": True,  # a small file is one request, not three
        }
        if not _is_aws(endpoint):
            host = urlsplit(endpoint)
            found |= {"endpoint_override": host.netloc, "scheme": host.scheme}
            found["force_virtual_addressing"] = self._virtual
        return found

    def _keys(self) -> ReadOnlyCredentials:
        session, _ = self._session_and_client()
        with self._explained(STS):
            found = session.get_credentials()
            keys = found.get_frozen_credentials() if found else None
        if keys is None or not keys.access_key or not keys.secret_key:
            raise LakeError(
                f"lake {self.address.uri}: no keys were found for it. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "a profile or a role for this process, or name an Airflow connection of type aws that has them: "
                f"s3://aws_default@{self.address.place}{self.address.path}"
            )
        refuse_blanks(self.address, self.label, keys.access_key, keys.secret_key, keys.token)
        for secret in (keys.secret_key, keys.token):
            if secret and secret not in self._secrets:
                self._secrets.append(secret)
                if self._mask:
                    self._mask(secret)
        return keys

    def _explained(self, action: str) -> AbstractContextManager[None]:
        return explained(self.address, self.label, action, [*self._secrets, *self._hidden])

    def _place(self) -> tuple[str, str]:
        """Give the endpoint's URL and the region, as boto3 has found them."""
        meta = self._session_and_client()[1].meta
        return meta.endpoint_url, meta.region_name

    def _client(self) -> BaseClient:
        self._keys()  # so that a lack of them is said in the same words everywhere
        return self._session_and_client()[1]

    def _session_and_client(self) -> tuple[Any, BaseClient]:
        with self._making:
            if self._asking is None:
                with self._explained(STS):
                    session = self._make_session()
                    self._asking = session, self._make_client(session)
            return self._asking

    def _make_client(self, session: Any) -> BaseClient:
        region = self._region or os.environ.get("AWS_REGION") or session.region_name or "us-east-1"
        config: dict[str, Any] = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": ANSWER_SECONDS,
            "retries": {"total_max_attempts": LOOKS, "mode": "standard"},
        }
        if not REGION.fullmatch(region):
            raise LakeError(
                f"lake {self.address.uri}: the region (AWS_REGION, or region_name in the connection's extra) can't be "
                "used; allowed: lower-case letters, digits and -, as in eu-central-1"
            )
        try:
            client = self._made(session, region, config)
            endpoint = without_login(client.meta.endpoint_url)
        except ValueError:  # what botocore says of it shows it
            raise LakeError(
                f"lake {self.address.uri}: the endpoint (AWS_ENDPOINT_URL, or endpoint_url in the connection's extra) "
                "can't be used; allowed: https://host or https://host:port, without user and password"
            ) from None
        if not _is_aws(client.meta.endpoint_url):
            style = "virtual" if self._virtual else "path"
            client = self._made(session, region, {**config, "s3": {"addressing_style": style}})
        if endpoint.scheme == "http" and endpoint.hostname not in LOOPBACK and not self._allow_http:
            raise LakeError(
                f"lake {self.address.uri}: the endpoint {client.meta.endpoint_url} has no TLS, so that keys could be "
                "abused by whoever listens; use https, or allow it with AWS_ALLOW_HTTP=true or allow_http in the "
                "connection's extra"
            )
        client.meta.events.register_first("needs-retry.s3", refuse_other_region(self.address, region))
        return client

    def _made(self, session: Any, region: str, config: Mapping[str, Any]) -> BaseClient:
        from botocore.config import Config

        return session.client("s3", region_name=region, endpoint_url=self._endpoint, config=Config(**config))


def environment_session(address: LakeAddress) -> Any:
    """Make a session of the environment's own chain: variables, profiles, web identity, container, instance.

    :raises LakeError: boto3 isn't installed
    """
    try:
        import boto3
        import botocore.session
    except ImportError as error:
        raise LakeError(f"lake {address.uri} {MISSING}") from error
    session = botocore.session.get_session()
    # A machine's own service of keys is asked once, for a second, which under load is too little.
    for name, variable, value in (
        ("metadata_service_timeout", "AWS_METADATA_SERVICE_TIMEOUT", 2),
        ("metadata_service_num_attempts", "AWS_METADATA_SERVICE_NUM_ATTEMPTS", 3),
    ):
        if variable not in os.environ:
            session.set_config_variable(name, value)
    return boto3.Session(botocore_session=session)


def refuse_blanks(
    address: LakeAddress, label: str, key_id: str | None, secret: str | None, token: str | None
) -> None:
    """Look for blanks in keys: no request can be sent with them, or its signature is another one.

    :param label: whose keys they are
    :raises LakeError: one has a blank; the message says which, and doesn't show it
    """
    second = "AWS_SECRET_ACCESS_KEY, or password or aws_secret_access_key of a connection"
    for name, fields, value, blank in (
        ("key id", "AWS_ACCESS_KEY_ID, or login or aws_access_key_id of a connection", key_id, BLANK),
        ("secret", second, secret, BLANK_OF_SECRET),
        ("session token", "AWS_SESSION_TOKEN, or aws_session_token in a connection's extra", token, BLANK),
    ):
        if value and blank.search(value):
            raise LakeError(
                f"lake {address.uri}: {label} can't be used: the {name} ({fields}) holds a space, a line break or a "
                "control character, as at the end of a file; give it without"
            )


def without_login(endpoint: str) -> SplitResult:
    """Take an endpoint apart that is nothing but a place, and can be shown.

    :raises ValueError: it is none, or holds what may be a secret
    """
    parts = urlsplit(endpoint)
    if parts.port == 0 or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(parts.scheme)
    return parts


def _is_aws(endpoint: str) -> bool:
    return AWS_ENDPOINT.fullmatch(urlsplit(endpoint).hostname or "") is not None


def _flag(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() in {"1", "true", "yes", "on"}
