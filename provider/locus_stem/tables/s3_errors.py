"""What S3's refusals mean and what to do about them, as errors of the lake."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from locus_stem.api.spellings import scrubbed, unmistakable
from locus_stem.tables.address import LakeError, LakeUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from locus_stem.tables.address import LakeAddress

__all__ = ["STS", "explained", "refuse_other_region", "without_colours"]

#: The action that isn't the store's own.
STS = "sts:AssumeRole"

#: What a refusal's code says is wrong with the keys.
OF_KEYS = {
    "InvalidAccessKeyId": "the key id isn't known there",
    "InvalidClientTokenId": "the key id isn't known there",
    "UnrecognizedClientException": "the key id isn't known there",
    "SignatureDoesNotMatch": "the secret doesn't belong to the key id",
    "ExpiredToken": "the session token has ended",
    "ExpiredTokenException": "the session token has ended",
    "TokenRefreshRequired": "the session token has ended",
    "InvalidToken": "the session token isn't one that belongs to the key id",
    "InvalidIdentityToken": "the web identity's token is refused",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
    "AccountProblem": "the account is closed or blocked",
}
REFUSED = {"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "Forbidden", "403"}
NO_BUCKET = {"NoSuchBucket", "404", "InvalidBucketName"}
OTHER_REGION = {
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "301",
    "307",
}

#: A login in the address of whatever gives out keys.
LOGIN = re.compile(r"//[^/\s]*@")


@contextmanager
def explained(address: LakeAddress, label: str, action: str, secrets: Sequence[str]) -> Iterator[None]:
    """Turn botocore's errors into the lake's, which name address and keys' owner, and say what to do.

    They have no cause: a traceback would show of it what is taken out of the message.

    :param label: whose keys they are
    :param action: the permission that is needed in there
    :param secrets: keys, which stores may quote in their answers, and what a connection's fields hold
    :raises LakeError: no repetition helps
    :raises LakeUnavailableError: the store can't be reached, or fails
    """
    try:
        with _translated(address, label, action):
            yield
    except (LakeError, LakeUnavailableError) as error:
        raise type(error)(scrubbed(LOGIN.sub("//", str(error)), unmistakable(secrets))) from None


@contextmanager
def _translated(address: LakeAddress, label: str, action: str) -> Iterator[None]:
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        HTTPClientError,
        MetadataRetrievalError,
        ParamValidationError,
        SSLError,
    )
    from botocore.exceptions import ConnectionError as NoConnectionError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        _refused(error, address, label, action)
    except ParamValidationError as error:  # the bucket's name is all that isn't the package's own
        raise LakeError(f"lake {address.uri}: {address.place!r} can't be a bucket: {error}") from error
    except SSLError as error:
        raise LakeError(
            f"lake {address.uri}: the store's certificate is refused ({error}); its authority must be among those "
            "that this machine trusts"
        ) from error
    except (HTTPClientError, NoConnectionError, MetadataRetrievalError, CredentialRetrievalError) as error:
        raise LakeUnavailableError(
            f"lake {address.uri}: the store doesn't answer, or nothing that gives out keys does ({error}); check the "
            "endpoint (AWS_ENDPOINT_URL, or endpoint_url in the connection's extra) and the network"
        ) from error
    except ResponseParserError as error:
        raise LakeUnavailableError(
            f"lake {address.uri}: what answers at the endpoint doesn't speak S3's language ({error}); check "
            "that address"
        ) from error
    except (LakeError, LakeUnavailableError):
        raise
    except (BotoCoreError, ValueError, LookupError, NotImplementedError, FileNotFoundError) as error:
        # a connection's setting that is lacking is a KeyError, a web identity's token that is, no file
        said = f"{type(error).__name__} {error}" if isinstance(error, LookupError) else error
        raise LakeError(f"lake {address.uri}: {label} can't be used: {said}") from error


def refuse_other_region(address: LakeAddress, region: str) -> Callable[..., None]:
    """Make a look at every answer, before boto3 quietly goes where neither deltalake nor pyarrow would follow.

    :param region: the one that is configured
    """

    def look(response: tuple[Any, dict[str, Any]] | None = None, **_: Any) -> None:
        if response is None or response[0].status_code < 300:
            return
        http, parsed = response
        error = parsed.get("Error", {})
        home = http.headers.get("x-amz-bucket-region") or error.get("Region")
        if error.get("Code") in OTHER_REGION or http.status_code in {301, 307}:
            where = (
                f"in {home}: set AWS_REGION={home}" if home else "in another region: set AWS_REGION to that"
            )
            raise LakeError(
                f"lake {address.uri}: the region {region} is wrong, the bucket lies {where}, or region_name in the "
                "connection's extra"
            )

    return look


def without_colours(error: BaseException) -> str:
    """Give a message of deltalake's on one line, without what is meant for a terminal."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())


def _refused(error: Any, address: LakeAddress, label: str, action: str) -> NoReturn:
    found = error.response.get("Error", {})
    code, said = str(found.get("Code")), found.get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    lake = f"lake {address.uri}"
    if code in OF_KEYS:
        raise LakeError(f"{lake}: {label} are refused: {OF_KEYS[code]} ({code})") from error
    if code in NO_BUCKET:
        raise LakeError(
            f"{lake}: there is no bucket {address.place!r} ({code}); make it, or correct the address"
        ) from error
    if action == STS:
        raise LakeError(f"{lake}: {label} can't take their role ({code}: {said})") from error
    if code in REFUSED or status == 403:
        raise LakeError(
            f"{lake}: {label} may not do {action} there ({code}: {said}); the lake needs s3:ListBucket on the bucket, "
            f"s3:GetObject, s3:PutObject and s3:DeleteObject on {address.place}{address.path}/*"
        ) from error
    if code == "NotImplemented" or status == 501:
        raise LakeError(
            f"{lake}: the store lacks what {action} needs here: conditional puts (If-None-Match), without which two "
            "writers would overwrite each other's commits; use one that has them"
        ) from error
    if 400 <= status < 500 and status not in {408, 409, 429}:
        raise LakeError(f"{lake}: {label} are refused at {action} ({code}: {said})") from error
    raise LakeUnavailableError(
        f"{lake}: the storage doesn't answer as it should at {action} ({code}: {said})"
    ) from error
