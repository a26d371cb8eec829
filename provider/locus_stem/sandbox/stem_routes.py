"""The 5 Stem endpoints (reference: stem-data-api)."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from locus_stem.api.stem import (
    DEFAULT_PER_PAGE,
    DEFAULT_RESOLUTION,
    RESOLUTIONS,
    STEM_ENDPOINTS,
    STREAM_TYPES,
    STREAMS_LIMIT,
)
from locus_stem.sandbox import stem_fleet
from locus_stem.sandbox.query import parameters
from locus_stem.sandbox.reply import Refusal, Reply
from locus_stem.sandbox.router import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from locus_stem.sandbox.fleet import Fleet
    from locus_stem.sandbox.options import Options
    from locus_stem.sandbox.query import Pairs

_PAGING = ("name", "page", "per_page")


class StemRoutes:
    """Answers to authenticated Stem requests."""

    def __init__(self, fleet: Fleet, options: Options) -> None:
        self.fleet = fleet.stem
        self.options = options
        self.router = Router(STEM_ENDPOINTS)
        self._forbidden = {fault.target for fault in options.faults if fault.kind == "forbidden"}
        self._gone = {fault.target for fault in options.faults if fault.kind == "gone"}
        self._bad = {fault.target for fault in options.faults if fault.kind == "bad-request"}

    def answer(self, path: str, pairs: Pairs) -> Reply:
        """Answer a request; Refusal where it isn't allowed."""
        found = self.router.find(path)
        if found is None:
            raise Refusal(404)
        endpoint, ids = found
        for name in ids.values():
            if name in self._forbidden or name in {stem_fleet.FOREIGN_CLIENT, stem_fleet.FOREIGN_SITE}:
                raise Refusal(403)
            if name in self._gone:
                raise Refusal(404)
        route: Callable[..., Reply] = getattr(self, endpoint.name)
        try:
            return route(*ids.values(), pairs)
        except KeyError:
            raise Refusal(404) from None

    def get_clients(self, pairs: Pairs) -> Reply:  # noqa: D102
        return self._page("clients", (self._client(client_id) for client_id in self.fleet.client_ids), pairs)

    def get_client(self, client_id: str, pairs: Pairs) -> Reply:  # noqa: D102
        found = self._client(client_id)
        parameters(pairs)
        return Reply.of(found)

    def get_client_sites(self, client_id: str, pairs: Pairs) -> Reply:  # noqa: D102
        site_ids = self.fleet.client_site_ids(client_id)
        return self._page("sites", (self._site(site_id) for site_id in site_ids), pairs)

    def get_site(self, site_id: str, pairs: Pairs) -> Reply:  # noqa: D102
        found = self._site(site_id)
        parameters(pairs)
        return Reply.of(found)

    def _client(self, client_id: str) -> dict[str, Any]:
        return self.fleet.client_object(client_id, f"/api/v1/clients/{quote(client_id, safe='')}")

    def _site(self, site_id: str) -> dict[str, Any]:
        return self.fleet.site_object(site_id, f"/api/v1/sites/{quote(site_id, safe='')}")

    def _page(self, key: str, objects: Iterator[dict[str, Any]], pairs: Pairs) -> Reply:
        found = parameters(pairs, optional=_PAGING)
        page, size = _count(found, "page", 1), _count(found, "per_page", DEFAULT_PER_PAGE)
        chosen = [one for one in objects if found.get("name", "").lower() in one["name"].lower()]
        step = max(1, size - 1) if self.options.stem_pages == "overlapping" else size
        part = chosen[(page - 1) * step : (page - 1) * step + size]
        if not part and self.options.stem_pages == "endless":
            part = chosen[(len(chosen) - 1) // size * size :]
        if not part:
            raise Refusal(400, "No results found")
        shown = str(page) if self.options.stem_page_as_text else page
        total = len(chosen) if self.options.stem_total == "all" else len(part)
        return Reply.of({key: part, "total": total, "page": shown})

    def get_site_streams(self, site_id: str, pairs: Pairs) -> Reply:  # noqa: D102
        site = self.fleet.site(site_id)
        if site_id in self._bad:
            raise Refusal(400)
        types = [name for key, value in pairs if key == "stream_type" for name in value.split(",")]
        found = parameters(
            [pair for pair in pairs if pair[0] != "stream_type"],
            required=("start_datetime", "end_datetime"),
            optional=("resolution",),
        )
        start, end = _moment(found, "start_datetime"), _moment(found, "end_datetime")
        resolution = _count(found, "resolution", DEFAULT_RESOLUTION)
        if resolution not in RESOLUTIONS:
            raise Refusal(400, f"Invalid resolution: {resolution}. Expected one of 900, 1800, 3600")
        if end - start < timedelta(seconds=resolution):
            raise Refusal(400, "The minimum range that can be requested is the resolution")
        if end - start > STREAMS_LIMIT:
            raise Refusal(400, "The maximum range that can be requested is 1 year")
        chosen = types or ["MONITOR"]
        for stream_type in chosen:
            if stream_type not in STREAM_TYPES or chosen.count(stream_type) > 1:
                raise Refusal(400, f"Invalid stream_type: {stream_type}")
            if stream_type not in site.starts:
                message = f"The requested stream type - {stream_type} is unavailable for the requested site."
                raise Refusal(400, message)
        first, last = self._ends(int(start.timestamp()), int(end.timestamp()), resolution)
        streams = [list(self.fleet.rows(site_id, name, resolution, first, last)) for name in chosen]
        if not any(streams):
            raise Refusal(400, "No data found for the requested time range")
        return _written(site_id, site.name, chosen, streams, resolution)

    def _ends(self, start: int, end: int, resolution: int) -> tuple[int, int]:
        """First and last end of the rows that a request gives."""
        if self.options.stem_shift == "none":
            return start + 1, end
        half = resolution // 2
        first, last = ((moment + half) // resolution * resolution for moment in (start, end))
        # The text subtracts a resolution from start and end; the example does so from start alone.
        return first, last - resolution if self.options.stem_shift == "literal" else last


def _count(found: dict[str, str], name: str, default: int) -> int:
    text = found.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise Refusal(400, f"Invalid {name}: {text}")
    return int(text)


def _moment(found: dict[str, str], name: str) -> datetime:
    text = found[name]
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        moment = None
    if moment is None or len(text) != 20:
        raise Refusal(400, f"Invalid {name}: {text}. Expected YYYY-MM-DDTHH:MM:SSZ")
    return moment


def _written(
    site_id: str,
    name: str,
    types: Sequence[str],
    streams: Sequence[Sequence[tuple[int, float | None]]],
    resolution: int,
) -> Reply:
    parts = []
    for stream_type, rows in zip(types, streams, strict=True):
        written = ",".join(
            f'{{"start_datetime":"{_stamp(end - resolution + 1)}","end_datetime":"{_stamp(end)}",'
            f'"kw_total_avg":{"null" if value is None else value}}}'
            for end, value in rows
        )
        parts.append(f'{{"stream_type":"{stream_type}","streams":[{written}]}}')
    head = json.dumps({"id": site_id, "name": name}, ensure_ascii=False)[:-1]
    return Reply(200, f'{head},"stream_types":[{",".join(parts)}]}}'.encode())


def _stamp(seconds: int) -> str:
    day, rest = divmod(seconds, 86_400)
    return f"{_day(day)}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}+00:00"


@lru_cache(maxsize=4096)
def _day(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()
