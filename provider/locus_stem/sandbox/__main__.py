"""The sandbox as a process: ``python -m locus_stem.sandbox``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from locus_stem.sandbox.fleet import Fleet, Gaps
from locus_stem.sandbox.options import (
    RATE_FAULTS,
    TARGET_FAULTS,
    Accepted,
    EndBoundary,
    Fault,
    FieldParameters,
    Offsets,
    Options,
    StemPages,
    StemShift,
    StemTotal,
    UpdatedSince,
    UtcSuffix,
)
from locus_stem.sandbox.server import HOST, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DESCRIPTION = """\
Serve the Locus Energy v3 API and the Stem Developer Data API on loopback, with real measurements of other
plants and buildings, so that DAGs can be tried and tested without an account. It refuses what the vendors'
references refuse; the options below make it behave where they leave room, and make it fail.
"""
EPILOG = f"""\
faults: --fault KIND=RATE, again for each kind. RATE is from 0 to 1; kinds are
  {", ".join(RATE_FAULTS[:10])},
  {", ".join(RATE_FAULTS[10:])};
  or forbidden=ID (403), gone=ID (404), bad-request=ID or ID@START (400 for its data), bad-field=SHORT_NAME (400).
controls: GET /_sandbox/log and /_sandbox/stats, POST /_sandbox/reset, /_sandbox/revoke, and /_sandbox/revise
  with {{"entity_type": "site", "entity_id": 3000001, "start": "2025-01-01T00:00:00+00:00", "end": "...",
  "factor": 1.1}}
  ("withdraw": true takes values away; "fields": ["W"] limits it to base fields).
example: python -m locus_stem.sandbox --port 8765 --sites 100 --latency-ms 50 --fault 503=0.01
"""


def _fault(text: str) -> Fault:
    try:
        return Fault.parse(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(f"{text!r} is no ISO 8601 instant") from problem
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no offset from UTC: write 2025-03-01T12:00:00+00:00")
    return moment


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m locus_stem.sandbox",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = Accepted()
    place = parser.add_argument_group("where")
    place.add_argument("--host", default=HOST, help=f"address to listen at, 0.0.0.0 in a container ({HOST})")
    place.add_argument("--port", type=int, default=8765, help="port; 0 takes a free one (8765)")
    place.add_argument("--port-file", type=Path, help="write the port there once it listens")
    fleet = parser.add_argument_group("fleet: the same values give the same data, in any process")
    fleet.add_argument("--sites", type=int, default=24, help="number of sites (24)")
    fleet.add_argument("--seed", type=int, default=7, help="what the fleet is made from (7)")
    fleet.add_argument("--partner", type=int, default=1, help="partner id (1)")
    fleet.add_argument(
        "--now", type=_moment, help="a present to begin at, in ISO 8601 with offset (the real clock)"
    )
    fleet.add_argument("--freeze", action="store_true", help="let the present of --now stand still")
    fleet.add_argument(
        "--gaps",
        choices=get_args(Gaps),
        default="missing",
        help="an interval without data has no row, or an empty one",
    )
    fleet.add_argument(
        "--unknown",
        action="store_true",
        help="answers hold keys and values too that no reference names, as a later version of the APIs may",
    )
    way = parser.add_argument_group("behaviour")
    way.add_argument("--latency-ms", type=float, default=0.0, help="time that each answer takes (0)")
    way.add_argument("--concurrency", type=int, default=1, help="Locus requests in flight before a 429 (1)")
    way.add_argument("--stem-concurrency", type=int, default=4, help="the same for Stem (4)")
    way.add_argument("--token-life", type=int, default=3600, help="seconds until a token expires (3600)")
    way.add_argument(
        "--revoke-every", type=float, default=0.0, help="seconds after which all tokens are revoked (never)"
    )
    way.add_argument(
        "--end", choices=get_args(EndBoundary), default="exclusive", help="boundary of data's end"
    )
    way.add_argument(
        "--utc-suffix", choices=get_args(UtcSuffix), help="how UTC's offset is written (as in the examples)"
    )
    way.add_argument(
        "--offset",
        choices=get_args(Offsets),
        default="right",
        help="offset of timestamps from daily up (right)",
    )
    way.add_argument("--zone-case", action="store_true", help="spell some zones like America/Los_angeles")
    way.add_argument(
        "--field-parameters",
        choices=get_args(FieldParameters),
        default="required",
        help="whether modeled fields need their parameters (required)",
    )
    way.add_argument(
        "--stem-shift",
        choices=get_args(StemShift),
        default="literal",
        help="how Stem shifts start and end (literal)",
    )
    way.add_argument("--stem-page-as-text", action="store_true", help="Stem answers page as text")
    way.add_argument(
        "--stem-total",
        choices=get_args(StemTotal),
        default="all",
        help="what Stem's total counts: all there are, or those of the page (all)",
    )
    way.add_argument(
        "--stem-pages",
        choices=get_args(StemPages),
        default="apart",
        help="overlapping: the last of a page is also the first of the next; endless: the last page comes again "
        "after it (apart)",
    )
    way.add_argument(
        "--updated-since",
        choices=get_args(UpdatedSince),
        default="inclusive",
        help="whether an alert that was updated exactly then is answered (inclusive)",
    )
    wrong = parser.add_argument_group("faults")
    wrong.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="KIND=RATE",
        help=f"make a fault; also {'=, '.join(TARGET_FAULTS)}=",
    )
    wrong.add_argument("--fault-seed", type=int, default=0, help="seed of the faults (0)")
    wrong.add_argument("--fault-streak", type=int, default=2, help="most faults in a row for one request (2)")
    wrong.add_argument(
        "--retry-after", type=int, default=1, help="seconds that 429-retry-after and 503-retry-after name (1)"
    )
    wrong.add_argument("--slow-seconds", type=float, default=2.0, help="how long a slow answer trickles (2)")
    wrong.add_argument(
        "--hang-seconds", type=float, default=600.0, help="how long a hanging request hangs (600)"
    )
    keys = parser.add_argument_group("credentials that it accepts")
    for name in ("client_id", "client_secret", "user", "password", "bearer_token", "stem_api_key"):
        keys.add_argument(
            f"--{name.replace('_', '-')}", default=getattr(known, name), help=f"({getattr(known, name)})"
        )
    return parser


def _clock(now: datetime | None, *, freeze: bool) -> Callable[[], datetime] | datetime | None:
    if now is None or freeze:
        return now
    ahead: timedelta = now - datetime.now(UTC)
    return lambda: datetime.now(UTC) + ahead


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM."""
    chosen = _parser().parse_args(arguments)
    fleet = Fleet(
        sites=chosen.sites,
        seed=chosen.seed,
        now=_clock(chosen.now, freeze=chosen.freeze),
        partner_id=chosen.partner,
        gaps=chosen.gaps,
        unknown=chosen.unknown,
    )
    options = Options(
        latency_ms=chosen.latency_ms,
        concurrency=chosen.concurrency,
        stem_concurrency=chosen.stem_concurrency,
        token_life=chosen.token_life,
        revoke_every=chosen.revoke_every,
        end=chosen.end,
        utc_suffix=chosen.utc_suffix,
        offset=chosen.offset,
        zone_case=chosen.zone_case,
        field_parameters=chosen.field_parameters,
        stem_shift=chosen.stem_shift,
        stem_page_as_text=chosen.stem_page_as_text,
        stem_total=chosen.stem_total,
        stem_pages=chosen.stem_pages,
        updated_since=chosen.updated_since,
        faults=tuple(chosen.fault),
        fault_seed=chosen.fault_seed,
        fault_streak=chosen.fault_streak,
        retry_after=chosen.retry_after,
        slow_seconds=chosen.slow_seconds,
        hang_seconds=chosen.hang_seconds,
        accepted=Accepted(
            chosen.client_id,
            chosen.client_secret,
            chosen.user,
            chosen.password,
            chosen.bearer_token,
            chosen.stem_api_key,
        ),
    )
    server = Server(fleet, options, port=chosen.port, host=chosen.host)
    started = threading.Event()

    def announce() -> None:
        started.wait()
        if chosen.port_file:
            whole = chosen.port_file.with_name(chosen.port_file.name + ".part")
            whole.write_text(str(server.port), encoding="ascii")
            whole.replace(chosen.port_file)
        sys.stdout.write(f"{chosen.sites} sites on {server.url}\n")
        sys.stdout.flush()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stop)
        await server.serve(started)

    threading.Thread(target=announce, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
