"""The faults of the matrix: those that hit a share of the requests, refusals, and behaviours that are always there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from faults.jobs import BACKFILLS, LOCUS, STEM, TIMEOUT, WEBHOOKS, Setting
from locus_stem.sandbox.catalogue import MODEL_PARAMETERS
from locus_stem.sandbox.options import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.jobs import World

RATES = (0.05, 0.30)
#: What each cell's servers do beside the fault: an answer takes as long as one that comes from the next room.
LATENCY_MS = 20.0
RETRY_AFTER, SLOW = 1, 0.3
#: Seconds that one hit makes a run wait, as the fault itself states them.
STATED = {
    "429-retry-after": RETRY_AFTER,
    "503-retry-after": RETRY_AFTER,
    "hang": TIMEOUT,
    "hang-mid-body": TIMEOUT,
    "slow": SLOW,
}
EVERY_API = (*LOCUS, *STEM)


@dataclass(frozen=True)
class OfRequests:
    """Hits a share of the requests.

    :param beside: further faults that it needs to show.
    :param drawn: what the sandbox calls it; empty: by its name.
    :param setting: of the world it is in, the one without it too.
    """

    name: str
    pipelines: tuple[str, ...]
    beside: tuple[Fault, ...] = ()
    drawn: str = ""
    setting: Setting = field(default_factory=Setting)
    rates: tuple[float, ...] = RATES

    def faults(self, rate: float) -> tuple[Fault, ...]:
        return (*self.beside, Fault(self.drawn or self.name, rate))


@dataclass(frozen=True)
class Refusal:
    """Refuses a share of the entities, or of the fields (``bad-field``), for good.

    What it states is the API's own time for the requests by which a refused field is found: the list is halved.
    """

    name: str
    pipelines: tuple[str, ...]
    rates = RATES


@dataclass(frozen=True)
class Always:
    """A behaviour that the references leave room for, or what happens around the requests.

    :param evidence: counts what shows that it was there, in a world in which it was.
    """

    name: str
    pipelines: tuple[str, ...]
    setting: Setting
    evidence: Callable[[World], int]
    rates = (None,)
    #: Of what a run without it is asked; that run's time is the measure.
    measured_with: Setting = field(default_factory=Setting)


Kind = OfRequests | Refusal | Always


def answered(world: World, *ends: str) -> int:
    """Count answers to requests whose path ends so."""
    return sum(served.path.endswith(ends) and served.status == 200 for served in world.server.log)


def _data(world: World) -> int:
    return answered(world, "/data")


def _lists(world: World) -> int:
    return answered(world, "/sites", "/clients")


def _all(world: World) -> int:
    return answered(world, "")


def _logins(world: World) -> int:
    """Tokens beyond the first of each client."""
    return answered(world, "/oauth/token") - 2


def _rejections(world: World) -> int:
    return sum(served.status == 401 for served in world.server.log)


def _withdrawn(world: World) -> int:
    return sum(row["withdrawn_at"] is not None for row in world.lake.read("locus_alerts").to_pylist())


def _gap_requests(world: World) -> int:
    return sum("openDuring" in served.query for served in world.server.log) - 1


def _sites_on_two_pages(world: World) -> int:
    return sum("page=2" in served.query for served in world.server.log)


def _modeled(world: World) -> int:
    return sum(MODEL_PARAMETERS[0][0] in served.query for served in world.server.log)


def _options(**options: Any) -> Setting:
    return Setting(options=options)


_DAILY = {"granularity": "daily", "lookback_days": 20}
_MODELED = {"fields": ["W_m_avg", "Wh_m_sum"]}
#: Two clients of just a page each, and sites of both.
_PAGES = {
    "sites": 200,
    "params": {"site_ids": ["white_house_1", "cold storage 2", "plant/north/3", "50%_peak?#200"]},
}
#: So that a task outlives some tokens.
_SLOWLY, _SLOWER = {"latency_ms": 100.0}, {"latency_ms": 150.0}
#: Days on whose third some alerts of 24 sites are gone that were open the day before.
_VANISHING = {"moments": [timedelta(days=day) for day in range(9, 13)]}
#: A sync logs in anew and asks for two lists: of so many one meets what comes twice a second.
_OFTEN = {"moments": [timedelta(minutes=15 * number) for number in range(12)]}
_ALERTS = ("alert sync",)

KINDS: tuple[Kind, ...] = (
    *(
        OfRequests(name, (*EVERY_API, *WEBHOOKS))
        for name in ("429", "500", "502", "503", "504", "reset", "reset-mid-body", "hang", "cut-off", "garbled", "slow")
    ),
    *(
        OfRequests(name, EVERY_API)
        for name in (
            "429-retry-after", "503-retry-after", "hang-mid-body", "empty", "not-json", "status-in-body",
        )
    ),
    OfRequests("422", WEBHOOKS),
    OfRequests("401", LOCUS),
    *(
        OfRequests(name, LOCUS, beside=(Fault("401", 0.30),))
        for name in ("refresh-without-refresh-token", "refresh-refused")
    ),
    # Each hit fails its task, which is retried; at the higher rate a task would spend its retries.
    OfRequests(
        "503 past a request's budget", EVERY_API, drawn="503", rates=RATES[:1],
        setting=Setting({"fault_streak": 1}, sending={"budget_seconds": 0.001}),
    ),
    *(Refusal(name, (*BACKFILLS, *STEM, "inventory")) for name in ("forbidden", "gone")),
    Refusal("bad-request", (*BACKFILLS, *STEM)),
    Refusal("bad-field", (*BACKFILLS, "monthly bulk")),
    Always("token life of a second", LOCUS, _options(token_life=1, **_SLOWER), _logins, _options(**_SLOWER)),
    Always(
        "revoked twice a second", tuple(one for one in LOCUS if one not in _ALERTS),
        _options(revoke_every=0.5, **_SLOWLY), _rejections, _options(**_SLOWLY),
    ),
    Always(
        "revoked twice a second", _ALERTS, Setting({"revoke_every": 0.5, **_SLOWLY}, params=_OFTEN), _rejections,
        Setting(_SLOWLY, params=_OFTEN),
    ),
    Always("end is inclusive", BACKFILLS, _options(end="inclusive"), _data),
    *(
        Always(f"UTC is {suffix}", (*BACKFILLS, "alert sync"), _options(utc_suffix=suffix), _all)
        for suffix in ("Z", "-00:00", "+00:00")
    ),
    Always(
        "wrong offsets", (*BACKFILLS,), Setting({"offset": "wrong"}, params=_DAILY), _data, Setting(params=_DAILY)
    ),
    Always("wrong offsets", ("monthly bulk",), _options(offset="wrong"), _data),
    Always("America/Los_angeles", LOCUS, _options(zone_case=True), _all),
    *(
        Always(
            f"field parameters {way}", ("daily backfill, sites",),
            Setting({"field_parameters": way}, params=_MODELED), _modeled, Setting(params=_MODELED),
        )
        for way in ("required", "ignored")
    ),
    Always("rows for empty intervals", BACKFILLS, Setting(fleet={"gaps": "empty"}), _data),
    Always("unknown keys and values", EVERY_API, Setting(fleet={"unknown": True}), _all),
    *(
        Always(f"Stem's shift is {shift}", STEM, _options(stem_shift=shift), _all)
        for shift in ("literal", "example", "none")
    ),
    Always("page as text", STEM, _options(stem_page_as_text=True), _lists),
    *(
        Always(name, STEM, Setting(options, **_PAGES), _sites_on_two_pages, Setting(**_PAGES))
        for name, options in (
            ("no page after a full one", {}),
            ("total of the page", {"stem_total": "page"}),
            ("pages that overlap", {"stem_pages": "overlapping"}),
            ("pages without an end", {"stem_pages": "endless"}),
        )
    ),
    Always("updatedSince is exclusive", _ALERTS, _options(updated_since="exclusive"), _all),
    *(
        Always(
            f"the server's clock is {minutes} min {word}", _ALERTS,
            Setting(params={"own_clock": timedelta(minutes=minutes if word == "behind" else -minutes)}), _all,
        )
        for minutes, word in ((30, "ahead"), (30, "behind"))
    ),
    Always(
        "an alert vanishes", _ALERTS,
        Setting(params=_VANISHING, sites=24), _withdrawn, Setting(params=_VANISHING, sites=24),
    ),
    *(
        Always(
            f"an outage of {days} days", _ALERTS,
            Setting(params={"moments": [timedelta(), timedelta(days=days)]}), _gap_requests,
            Setting(params={"moments": [timedelta(), timedelta(days=days)]}),
        )
        for days in (8, 40)
    ),
)  # fmt: skip
