"""How the sandbox behaves where the references leave room, and which faults it makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

EndBoundary = Literal["exclusive", "inclusive"]
Offsets = Literal["right", "wrong"]
UtcSuffix = Literal["Z", "-00:00", "+00:00"]
FieldParameters = Literal["required", "ignored"]
StemShift = Literal["literal", "example", "none"]
StemTotal = Literal["all", "page"]
StemPages = Literal["apart", "overlapping", "endless"]
UpdatedSince = Literal["inclusive", "exclusive"]
RATE_FAULTS = (
    "429", "429-retry-after", "500", "502", "503", "503-retry-after", "504", "reset", "reset-mid-body", "hang",
    "hang-mid-body", "empty", "cut-off", "garbled", "not-json", "status-in-body", "401", "slow",
    "refresh-without-refresh-token", "refresh-refused",
)  # fmt: skip
TARGET_FAULTS = ("forbidden", "gone", "bad-request", "bad-field")


@dataclass(frozen=True, slots=True)
class Fault:
    """One of RATE_FAULTS with a rate from 0 to 1, or of TARGET_FAULTS with the id or field that it hits."""

    kind: str
    rate: float = 0.0
    target: str = ""

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read ``KIND=RATE`` or ``KIND=TARGET``; ValueError says what is allowed."""
        kind, equals, value = text.partition("=")
        if kind in TARGET_FAULTS and value:
            return cls(kind, target=value)
        if kind not in RATE_FAULTS or not equals:
            raise ValueError(
                f"{text!r} is no fault: write KIND=RATE with one of {', '.join(RATE_FAULTS)}, "
                f"or {'=, '.join(TARGET_FAULTS)}= with an entity id or a field's short name"
            )
        try:
            rate = float(value)
        except ValueError:
            rate = -1.0
        if not 0 <= rate <= 1:
            raise ValueError(f"the rate of the fault {kind} must be from 0 to 1, not {value!r}")
        return cls(kind, rate)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The credentials that the sandbox lets in."""

    client_id: str = "sandbox-client"
    client_secret: str = field(default="sandbox-secret", repr=False)
    user: str = "sandbox"
    password: str = field(default="sandbox-password", repr=False)
    bearer_token: str = field(default="sandbox-token", repr=False)
    stem_api_key: str = field(default="sandbox-key", repr=False)


@dataclass(frozen=True, slots=True)
class Options:
    """Behaviour of a server.

    :param latency_ms: time that each answer takes, its making included.
    :param concurrency: Locus requests in flight before a 429; ``stem_concurrency`` the same for Stem.
    :param token_life: seconds until an access token expires.
    :param revoke_every: seconds after which all access tokens given out are revoked; 0 is never.
    :param end: whether a row that begins exactly at ``end`` is answered (bulk data never does).
    :param utc_suffix: how an offset of zero is written; None is as the reference's examples do.
    :param offset: ``wrong`` writes timestamps from daily up with the offset of the other half of the year.
    :param zone_case: some sites' zones are spelled like ``America/Los_angeles``.
    :param field_parameters: whether modeled fields are refused without their field parameters.
    :param stem_shift: how Stem rounds and shifts start and end: as its text says, as its example shows, not.
    :param stem_page_as_text: Stem answers ``page`` as text.
    :param stem_total: what Stem's ``total`` counts: all there are, or those of the page.
    :param stem_pages: how Stem's pages follow each other: the last of a page is also the first of the next where they
        overlap; ``endless`` answers the last page again after it, not a refusal.
    :param updated_since: whether an alert that was updated exactly then is answered.
    :param fault_seed: seed of all decisions about faults.
    :param fault_streak: how many times in a row faults hit the same request.
    :param retry_after: seconds named by a 429-retry-after, and by the HTTP date of a 503-retry-after.
    :param slow_seconds: what a slow answer takes at least.
    :param hang_seconds: when a hanging request is given up.
    """

    latency_ms: float = 0.0
    concurrency: int = 1
    stem_concurrency: int = 4
    token_life: int = 3600
    revoke_every: float = 0.0
    end: EndBoundary = "exclusive"
    utc_suffix: UtcSuffix | None = None
    offset: Offsets = "right"
    zone_case: bool = False
    field_parameters: FieldParameters = "required"
    stem_shift: StemShift = "literal"
    stem_page_as_text: bool = False
    stem_total: StemTotal = "all"
    stem_pages: StemPages = "apart"
    updated_since: UpdatedSince = "inclusive"
    faults: tuple[Fault, ...] = ()
    fault_seed: int = 0
    fault_streak: int = 2
    retry_after: int = 1
    slow_seconds: float = 2.0
    hang_seconds: float = 600.0
    accepted: Accepted = field(default_factory=Accepted)

    def __post_init__(self) -> None:
        for name, allowed in (
            ("end", get_args(EndBoundary)),
            ("offset", get_args(Offsets)),
            ("field_parameters", get_args(FieldParameters)),
            ("stem_shift", get_args(StemShift)),
            ("stem_total", get_args(StemTotal)),
            ("stem_pages", get_args(StemPages)),
            ("updated_since", get_args(UpdatedSince)),
            ("utc_suffix", (None, *get_args(UtcSuffix))),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, not {getattr(self, name)!r}")
