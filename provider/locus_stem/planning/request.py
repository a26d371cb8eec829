"""One data request as planned: it survives a plan file, and its key tells a resumed task what is done."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any

from locus_stem.planning.fields import FieldGroup
from locus_stem.planning.slices import Slice

__all__ = ["DataRequest"]


@dataclass(frozen=True, slots=True)
class DataRequest:
    """A call of a data endpoint of either vendor, and what of its answer is kept.

    :param entity_type: ``site``, ``component``, or ``zone``: bulk data of a zone's sites
    :param entity_id: a zone's is its place in the plan, and so is that of a Stem site, whose own id is a name
    :param site_id: the site itself, or the component's site; 0 of a zone
    :param zone: the site's zone (IANA); the zone asked is ``slice.tz``; UTC of a Stem site
    :param granularity: of Stem the resolution in seconds, as text
    :param group: shortNames, of Stem the stream types
    :param name: a Stem site's own id
    """

    entity_type: str
    entity_id: int
    site_id: int
    zone: str
    granularity: str
    slice: Slice
    group: FieldGroup
    name: str = ""

    def with_group(self, group: FieldGroup) -> DataRequest:
        """Return the same request for other fields."""
        return replace(self, group=group)

    @property
    def title(self) -> str:
        """Name the request for people: the entity, the granularity and the kept period."""
        kept = f"{self.slice.start:%Y-%m-%dT%H:%MZ} to {self.slice.end:%Y-%m-%dT%H:%MZ}"
        return f"{self.entity_type} {self.entity_name} {self.granularity} {kept}"

    @property
    def entity_name(self) -> str:
        """Name the entity for people: by its id, a zone by its name."""
        return self.name or (self.zone if self.entity_type == "zone" else str(self.entity_id))

    @property
    def key(self) -> str:
        """A text that is the same for the same request in every process, and for no other."""
        asked = self.to_json()
        digest = blake2b(json.dumps(asked, separators=(",", ":")).encode(), digest_size=10).hexdigest()
        return (
            f"{self.entity_type}-{self.entity_id}-{self.granularity}-{self.slice.start:%Y%m%dT%H%M}-{digest}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON values."""
        kept = self.slice
        return {
            "entity": [self.entity_type, self.entity_id, self.site_id],
            "zone": self.zone,
            "gran": self.granularity,
            "keep": [kept.start.isoformat(), kept.end.isoformat()],
            "ask": [kept.query_start, kept.query_end, kept.tz],
            "fields": list(self.group.fields),
            "params": [list(pair) for pair in self.group.parameters],
            **({"name": self.name} if self.name else {}),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> DataRequest:
        """Read what ``to_json`` returned."""
        entity_type, entity_id, site_id = value["entity"]
        start, end = map(datetime.fromisoformat, value["keep"])
        query_start, query_end, tz = value["ask"]
        return cls(
            entity_type=entity_type,
            entity_id=entity_id,
            site_id=site_id,
            zone=value["zone"],
            granularity=value["gran"],
            slice=Slice(start, end, query_start, query_end, tz),
            group=FieldGroup(
                tuple(value["fields"]), tuple((param, chosen) for param, chosen in value["params"])
            ),
            name=value.get("name", ""),
        )
