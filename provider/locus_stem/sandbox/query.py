"""Reading query parameters strictly: what is missing, unknown or given twice is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from locus_stem.sandbox.grid import parse_local, zone_info
from locus_stem.sandbox.reply import Refusal

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

Pairs = Sequence[tuple[str, str]]


def parameters(pairs: Pairs, *, required: Iterable[str] = (), optional: Iterable[str] = ()) -> dict[str, str]:
    """Return the parameters by name; 400 where the set isn't exactly what is allowed."""
    required = tuple(required)
    allowed = {*required, *optional}
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in allowed:
            raise Refusal(400, f"Unknown query parameter: {name}")
        if name in found:
            raise Refusal(400, f"Query parameter given twice: {name}")
        found[name] = value
    missing = [name for name in required if not found.get(name)]
    if missing:
        raise Refusal(400, f"Missing required query parameter: {', '.join(missing)}")
    return found


def zone_of(found: dict[str, str]) -> ZoneInfo:
    """Read ``tz``."""
    zone = zone_info(found["tz"])
    if zone is None:
        raise Refusal(400, f"Invalid tz: {found['tz']}")
    return zone


def moment_in(found: dict[str, str], name: str, zone: ZoneInfo) -> datetime:
    """Read a timestamp YYYY-MM-DDThh:mm:ss."""
    moment = parse_local(found[name], zone)
    if moment is None:
        raise Refusal(400, f"Invalid {name}: {found[name]}. Expected YYYY-MM-DDThh:mm:ss")
    return moment


def one_of(found: dict[str, str], name: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """Read a comma-separated list of allowed values; all of them where it isn't given."""
    if name not in found:
        return tuple(allowed)
    chosen = tuple(found[name].split(","))
    for value in chosen:
        if value not in allowed:
            raise Refusal(400, f"Invalid {name}: {value}. Expected one of {', '.join(allowed)}")
    return chosen
