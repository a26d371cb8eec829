"""The 5 endpoints of the Stem Developer Data API, its paging and what its refusals mean."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from locus_stem.api.bounds import streams_bound
from locus_stem.api.endpoint import Call, Endpoint, endpoints_of
from locus_stem.api.errors import (
    ApiError,
    MalformedAnswerError,
    OversizedAnswerError,
    RefusedError,
    StemNoData,
    StemNoResults,
    StemStreamUnavailable,
)
from locus_stem.api.parameter import Kind, Param

if TYPE_CHECKING:
    from collections.abc import Mapping

    from locus_stem.api.answer import Answer

STREAM_TYPES = ("MONITOR", "CONVERTER", "INTERVAL_REVENUE")
#: Seconds.
RESOLUTIONS = (900, 1800, 3600)
DEFAULT_RESOLUTION = 900
STREAMS_LIMIT = timedelta(days=365)
DEFAULT_PER_PAGE = 100
#: Most memory, in bytes, that the objects of a list may take, 19,000 sites; one that goes on longer is taken for one
#: that never ends.
MAX_LIST_WEIGHT = 32 * 2**20

Meanings = tuple[tuple[re.Pattern[str], type[RefusedError], tuple[int, ...]], ...]

# What says that there is nothing takes away what was there: a message that says more than that, "No data access" for
# one, is another refusal. The reference words neither.
_WHERE = (
    r"( (for|in|within|during|between|from|at) (the |this )?((requested|given|specified|selected|provided) )?"
    r"(sites?|time|date|range|period|interval|window|streams?(?! type)|\d)[^;]*)?"
)
_IS, _THERE = "(is |are |was |were )?", "(found|available|returned)"
_DATA = "(stream |telemetry )?(data|records?|readings?|streams?)"


def _only(*sentences: str) -> re.Pattern[str]:
    """Make a pattern of a message in which each error says one of these, after the name of its kind or not."""
    each = "|".join(sentence + _WHERE for sentence in sentences)
    return re.compile(rf"^(([\w ]+: )*({each})[.!]?(; |$))+$", re.IGNORECASE)


_NO_RESULTS = rf"(there {_IS})?no results?( {_IS}{_THERE})?"
_OF_LISTS: Meanings = ((_only(_NO_RESULTS), StemNoResults, (400, 404)),)
_OF_STREAMS: Meanings = (
    (re.compile(r"\bstream types?\b.*\bunavailable\b", re.IGNORECASE), StemStreamUnavailable, (400,)),
    (
        _only(
            _NO_RESULTS,
            rf"(there {_IS})?no {_DATA}( {_IS}{_THERE})?",
            rf"(the )?(requested )?{_DATA} {_IS}not {_THERE}",
        ),
        StemNoData,
        (400,),
    ),
)


def _read_refusal(meanings: Meanings, status: int, message: str | None, path: str) -> ApiError | None:
    """Tell refusals apart that only say that there is nothing: the API gives them the status of bad requests.

    :return: None where the refusal is one; where it can't be read, it may be either and is to be asked for again.
    """
    if message is None:
        if any(status in statuses for _, _, statuses in meanings):
            return MalformedAnswerError(
                f"HTTP {status}, and its reason can't be read", path=path, status=status
            )
        return None
    for pattern, error, statuses in meanings:
        if status in statuses and pattern.search(message):
            return error(message, path=path, status=status)
    return None


def _check_period(arguments: Mapping[str, Any]) -> None:
    start, end = (datetime.fromisoformat(arguments[name]) for name in ("start", "end"))
    resolution = timedelta(seconds=arguments.get("resolution", DEFAULT_RESOLUTION))
    if not resolution <= end - start <= STREAMS_LIMIT:
        raise ValueError(
            f"end: {arguments['end']!r} is refused; allowed: from {resolution.seconds} s (the resolution) to "
            f"{STREAMS_LIMIT.days} days after start ({arguments['start']})"
        )


_CLIENT_ID = Param(
    "client_identifier", "client_id", Kind.TEXT, "identifier of the client, a name", required=True
)
_SITE_ID = Param("site_identifier", "site_id", Kind.TEXT, "identifier of the site, a name", required=True)
_PAGING = (
    Param("name", "name", Kind.TEXT, "only those with this in their name"),
    Param("page", "page", Kind.NUMBER, "number of the page; default 1"),
    Param("per_page", "per_page", Kind.NUMBER, f"how many there are on a page; default {DEFAULT_PER_PAGE}"),
)
_endpoint = partial(Endpoint, reference="stem-data-api", read_refusal=partial(_read_refusal, _OF_LISTS))


class StemEndpoints:
    """The Stem Developer Data API: its five resources as methods."""

    get_clients = _endpoint(
        "/api/v1/clients",
        "clients",
        summary="List a page of the clients that the key may read",
        query=_PAGING,
        many=True,
    )
    get_client = _endpoint("/api/v1/clients/{client_id}", None, summary="Get a client", ids=(_CLIENT_ID,))
    get_client_sites = _endpoint(
        "/api/v1/clients/{client_id}/sites",
        "sites",
        summary="List a page of a client's sites, with the start of each stream",
        ids=(_CLIENT_ID,),
        query=_PAGING,
        many=True,
    )
    get_site = _endpoint("/api/v1/sites/{site_id}", None, summary="Get a site", ids=(_SITE_ID,))
    get_site_streams = _endpoint(
        "/api/v1/sites/{site_id}/streams",
        "stream_types",
        summary="Get a site's streams: mean power in kW; the API shifts start and end by a resolution",
        ids=(_SITE_ID,),
        query=(
            Param("start_datetime", "start", Kind.UTC_TIME, "begin of the period", required=True),
            Param(
                "end_datetime",
                "end",
                Kind.UTC_TIME,
                "end of the period, at most 365 days later",
                required=True,
            ),
            Param(
                "resolution",
                "resolution",
                Kind.NUMBER,
                f"seconds; default {DEFAULT_RESOLUTION}",
                choices=tuple(map(str, RESOLUTIONS)),
            ),
            Param(
                "stream_type",
                "stream_type",
                Kind.NAMES,
                "default MONITOR, which includes CONVERTER",
                choices=STREAM_TYPES,
            ),
        ),
        many=True,
        check=_check_period,
        bounded=partial(streams_bound, resolution=DEFAULT_RESOLUTION),
        read_refusal=partial(_read_refusal, _OF_STREAMS),
    )


STEM_ENDPOINTS: tuple[Endpoint, ...] = endpoints_of(StemEndpoints)


class Paging:
    """Walk through the pages of a list, without IO: send `call`, hand its answer to `take`, until it is None.

    The end is the refusal StemNoResults, a page that holds nothing new, or one shorter than `per_page`; not this one
    where its own `total` tells of more. An object that two pages hold is given once; two that differ and have one id
    are both given.

    :param call: of get_clients or get_client_sites; its `page` is where to begin.
    """

    def __init__(self, call: Call) -> None:
        self._call = call.endpoint.request(**{"per_page": DEFAULT_PER_PAGE, **call.arguments})
        self._ended = False
        #: By a digest of the id that of the object: a list's memory is not taken twice.
        self._seen: dict[bytes, bytes] = {}
        self._given, self._total = (self._number - 1) * self._per_page, 0
        #: What the pages so far take, in bytes.
        self.weight = 0

    @property
    def call(self) -> Call | None:
        """What to send next, None at the end."""
        return None if self._ended else self._call

    @property
    def is_whole(self) -> bool:
        """Whether there were as many objects as each page's `total` told; it may be vague."""
        return self._given >= self._total

    def take(self, answer: Answer | None) -> list[dict[str, Any]]:
        """Give the objects of a page that were not on an earlier one.

        :param answer: None for the refusal StemNoResults.
        :raises OversizedAnswerError: the list takes more than :data:`MAX_LIST_WEIGHT`.
        """
        if answer is None:
            self._ended = True
            return []
        self.weight += answer.weight
        if self.weight > MAX_LIST_WEIGHT:
            raise OversizedAnswerError(
                f"the list doesn't end: it has gone on past {MAX_LIST_WEIGHT // 2**20} MiB",
                path=self._call.path,
            )
        new = [item for item in answer.payload if self._is_new(item)]
        self._given += len(new)
        self._total = max(self._total, answer.total or 0)  # one that counts its page's alone tells of no more
        self._ended = not new or (len(answer.payload) < self._per_page and self.is_whole)
        self._call = self._call.endpoint.request(**{**self._call.arguments, "page": self._number + 1})
        return new

    @property
    def _number(self) -> int:
        return int(str(self._call.arguments.get("page", 1)))

    @property
    def _per_page(self) -> int:
        return int(str(self._call.arguments["per_page"]))

    def _is_new(self, item: Mapping[str, Any]) -> bool:
        key, content = _digest(str(item.get("id"))), _digest(item)
        is_new = self._seen.get(key) != content
        self._seen[key] = content
        return is_new


def _digest(value: Any) -> bytes:
    return blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).digest()
