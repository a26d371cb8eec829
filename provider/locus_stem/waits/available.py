"""Waiting until Locus fields or a Stem stream become available. Reference: dataavailable/*, stem-data-api."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from locus_stem.api.errors import StemNoResults
from locus_stem.api.granularity import GRANULARITIES
from locus_stem.api.locus import LocusEndpoints
from locus_stem.api.stem import STREAM_TYPES, Paging, StemEndpoints
from locus_stem.waits.instant import instant, surely_past, told, unreadable
from locus_stem.waits.wait import Found, Look, UnanswerableError, Wait, names, one_of_ids, text

if TYPE_CHECKING:
    from datetime import datetime

    from locus_stem.api.answer import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldsWait(Wait):
    """Until an entity, or bulk data of a partner's sites, has fields.

    :param fields: short names; all of them.
    :param granularity: at which they are to be had; None: at any.
    """

    partner_id: int | None
    site_id: int | None
    component_id: int | None
    fields: tuple[str, ...]
    granularity: str | None

    @classmethod
    def read(cls, **given: Any) -> Self:
        """Read settings."""
        entity = {name: given.get(name) for name in ("partner_id", "site_id", "component_id")}
        granularity = given.get("granularity")
        return cls(
            **one_of_ids(allow_none=True, **entity),
            fields=required_names("fields", given.get("fields")),
            granularity=text("granularity", granularity, tuple(GRANULARITIES)) if granularity else None,
        )

    @property
    def lacks_partner(self) -> bool:
        """Whether no entity is named."""
        return self.partner_id is None and self.site_id is None and self.component_id is None

    def look(self, now: datetime) -> Look:  # noqa: ARG002 - fields have no time
        """Ask for the fields that there are."""
        if self.component_id is not None:
            call = LocusEndpoints.get_component_dataavailable.request(component_id=self.component_id)
        elif self.site_id is not None:
            call = LocusEndpoints.get_site_dataavailable.request(site_id=self.site_id)
        else:
            call = LocusEndpoints.get_site_bulk_dataavailable.request(partner_id=self.partner_id)
        answer = yield call
        there = _granularities(answer)
        if all(
            field in there and (self.granularity is None or self.granularity in there[field])
            for field in self.fields
        ):
            return Found({field: there[field] for field in self.fields})
        return None


def _granularities(answer: Answer) -> dict[str, list[str]]:
    """Give the granularities of each short name."""
    there: dict[str, list[str]] = {}
    for base in answer.payload:
        aggregations = base.get("aggregations") or []  # it can be absent
        granularities = base.get("granularities") or []
        for name, listed in (("aggregations", aggregations), ("granularities", granularities)):
            if not isinstance(listed, list):
                raise unreadable(answer, f"a base field's {name}", listed)
        for aggregation in aggregations:
            if not isinstance(aggregation, dict):
                raise unreadable(answer, "an aggregation", aggregation)
            there[str(aggregation.get("shortName"))] = granularities
    return there


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStartWait(Wait):
    """Until a site has a stream.

    :param client_id: the site's client: then the client's list of sites is asked, not the site.
    :param started_by: the stream begins at this instant or before; None: it has begun.
    """

    site_id: str
    stream_type: str
    client_id: str | None
    started_by: datetime | None

    @classmethod
    def read(cls, **given: Any) -> Self:
        """Read settings."""
        client_id, started_by = given.get("client_id"), given.get("started_by")
        return cls(
            site_id=text("site_id", given.get("site_id")),
            stream_type=text("stream_type", given.get("stream_type", "MONITOR"), STREAM_TYPES),
            client_id=text("client_id", client_id) if client_id else None,
            started_by=instant("started_by", started_by) if started_by else None,
        )

    def look(self, now: datetime) -> Look:  # noqa: ARG002 - the answer has its time
        """Ask for the site, alone or page by page in its client's list."""
        if self.client_id is None:
            answer = yield StemEndpoints.get_site.request(site_id=self.site_id)
            if "stream_start_times" not in answer.payload:
                raise UnanswerableError(
                    f"{answer.call.path}: the site's answer has no stream_start_times; give client_id, then the "
                    "list of the client's sites is asked, which has them"
                )
            return self._decided(answer, answer.payload)
        paging = Paging(StemEndpoints.get_client_sites.request(client_id=self.client_id))
        while paging.call is not None:
            try:
                answer = yield paging.call
            except StemNoResults:
                return None
            for site in paging.take(answer):
                if site.get("id") == self.site_id:
                    return self._decided(answer, site)
        return None

    def _decided(self, answer: Answer, site: dict[str, Any]) -> Found | None:
        starts = site.get("stream_start_times") or {}
        if not isinstance(starts, dict):
            raise unreadable(answer, "stream_start_times", starts)
        if not starts.get(self.stream_type):
            return None
        begins = told(answer, starts[self.stream_type])
        if begins > surely_past(answer) or (self.started_by is not None and begins > self.started_by):
            return None
        return Found({"stream_type": self.stream_type, "start": begins.isoformat()})


def required_names(argument: str, value: Any) -> tuple[str, ...]:
    """Read names of which there is at least one.

    :raises ValueError: there is none, or they are something else.
    """
    found = names(argument, value)
    if not found:
        raise ValueError(
            f"{argument}: {value!r} is refused; allowed: a list of texts, or one text with commas"
        )
    return found
