"""The key of a Google service account that a connection holds, and the tokens that Google gives for it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from locus_stem.api.spellings import scrubbed, unmistakable
from locus_stem.tables.address import LakeError, LakeUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from locus_stem.tables.address import LakeAddress

__all__ = ["fresh_token", "private_parts", "service_key"]

#: What deltalake or google-auth can't do without.
NEEDED = ("client_email", "private_key", "private_key_id", "token_uri")
GOOGLE_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"


def service_key(address: LakeAddress, label: str, extra: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Give the key that an extra holds, or names the file of, and that file's path, else an empty text.

    :raises LakeError: there is none, or it isn't one; what stands in its place is not shown
    """
    given, path = extra.get("keyfile_dict"), extra.get("key_path")
    if not given and not path:
        raise LakeError(
            f"lake {address.uri}: {label} has neither keyfile_dict nor key_path in extra; leave the connection out of "
            "the address where the environment has keys"
        )
    key = _parsed(given or _read(address, label, path))
    if key is None:
        raise LakeError(
            f"lake {address.uri}: field {'keyfile_dict' if given else 'key_path'} (in extra) of {label} can't be used; "
            f"allowed: a service account's key as Google gives it, a JSON object that has {', '.join(NEEDED)}"
        )
    return key, "" if given else str(path)


def private_parts(key: Mapping[str, Any]) -> list[str]:
    r"""Give what nobody may see of a key: its private key, whole and line by line; some write its line ends as \n."""
    private, named = key["private_key"], key["private_key_id"]
    lines = [line.strip() for line in re.split(r"\\n|[\r\n]", private)]
    return unmistakable([private, *(line for line in lines if not line.startswith("-----")), named])


def fresh_token(address: LakeAddress, label: str, key: Mapping[str, Any], hidden: Sequence[str]) -> Any:
    """Give google-auth's credentials with a token that is fresh.

    :param hidden: what no message may show of it
    :raises LakeError: Google's package is missing, or the key is refused
    :raises LakeUnavailableError: what gives out tokens can't be reached, or fails
    """
    try:
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.auth.transport.requests import Request
        from google.oauth2.service_account import Credentials
    except ImportError as error:
        raise LakeError(
            f"lake {address.uri}: {label} needs Airflow's Google provider: "
            "pip install apache-airflow-providers-google"
        ) from error
    try:
        found = Credentials.from_service_account_info(key, scopes=[GOOGLE_SCOPE])
        found.refresh(Request())
    except (GoogleAuthError, ValueError) as error:
        said = scrubbed(str(error), hidden)
        if isinstance(error, TransportError) or getattr(error, "retryable", False):
            raise LakeUnavailableError(
                f"lake {address.uri}: what gives out tokens for {label} doesn't answer as it should ({said}); check "
                "token_uri in the key, and the network"
            ) from None
        raise LakeError(
            f"lake {address.uri}: {label} can't be used: there is no token for its key ({said})"
        ) from None
    return found


def _read(address: LakeAddress, label: str, path: Any) -> str:
    try:
        if isinstance(path, str):
            return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError):  # the key itself may have been put there, which its message shows
        pass
    raise LakeError(
        f"lake {address.uri}: field key_path (in extra) of {label} is no file that this machine can read"
    )


def _parsed(given: Any) -> dict[str, Any] | None:
    try:
        key = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        return None
    usable = isinstance(key, dict) and all(isinstance(key.get(name), str) and key[name] for name in NEEDED)
    return key if usable else None
