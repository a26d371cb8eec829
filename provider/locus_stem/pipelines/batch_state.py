"""What is known of a batch's requests: what was answered and refused, put together from the parts that are written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from locus_stem.planning.fields import FieldGroup
from locus_stem.planning.request import DataRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from locus_stem.tables.staging import Staging

__all__ = ["BatchState", "Key", "item_key", "request_key", "requests_of"]

#: A field that so many entities are refused and none was answered is asked of the others by itself.
REFUSERS = 2

#: An entity, the begin of a slice, and the parameters of its fields.
Key = tuple[int, str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class BatchState:
    """What is known of a batch's requests: fields answered and refused by request, and entities refused altogether.

    A field may be refused for one slice alone: a site may have none of it before its installation. ``refused_at``
    tells when an entity was refused, or (request, field).
    """

    answered: dict[Key, set[str]] = field(default_factory=dict)
    refused_fields: dict[Key, dict[str, str]] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    refused_at: dict[int | tuple[Key, str], datetime] = field(default_factory=dict)
    _suspects: dict[int, set[str]] = field(default_factory=dict)
    _proven: dict[int, set[str]] = field(default_factory=dict)
    _refusers: dict[str, set[int]] = field(default_factory=dict)
    _answered: set[str] = field(default_factory=set)

    @classmethod
    def from_manifests(cls, manifests: Iterable[dict[str, Any]]) -> BatchState:
        """Put together what the parts that are written say."""
        state = cls()
        for manifest in manifests:
            for item in manifest["answered"]:
                state.note_answer(item_key(item), item["fields"])
            for item in manifest["refused_fields"]:
                state.note_refusal(item_key(item), item["field"], item["reason"])
                at = datetime.fromisoformat(item["asked_at"])
                state.refused_at[item_key(item), item["field"]] = at
            state.refused.update({int(entity): reason for entity, reason in manifest["refused"].items()})
            for entity, moment in manifest["refused_at"].items():
                state.refused_at[int(entity)] = datetime.fromisoformat(moment)
        return state

    def note_answer(self, key: Key, fields: Iterable[str]) -> None:
        """Note that fields were answered for one slice."""
        self.answered.setdefault(key, set()).update(fields)
        self._proven.setdefault(key[0], set()).update(fields)
        self._answered.update(fields)

    def note_refusal(self, key: Key, name: str, reason: str) -> None:
        """Note that a field is refused for one slice."""
        self.refused_fields.setdefault(key, {})[name] = reason
        self._suspects.setdefault(key[0], set()).add(name)
        self._refusers.setdefault(name, set()).add(key[0])

    def suspects(self, entity_id: int) -> set[str]:
        """Name the fields that were refused for some slice of an entity, or for several others, and never answered."""
        if not self._refusers:
            return set()
        own = self._suspects.get(entity_id, set()) - self._proven.get(entity_id, set())
        return own | {
            name
            for name, refusers in list(self._refusers.items())  # at once: answers are taken meanwhile
            if len(refusers) >= REFUSERS and name not in self._answered
        }

    def left(self, request: DataRequest) -> DataRequest | None:
        """Give the part of a request that is still to be asked, None if there is none."""
        if request.entity_id in self.refused:
            return None
        key = request_key(request)
        settled = self.answered.get(key, set()) | self.refused_fields.get(key, {}).keys()
        fields = tuple(name for name in request.group.fields if name not in settled)
        return replace(request, group=FieldGroup(fields, request.group.parameters)) if fields else None


def item_key(item: Mapping[str, Any]) -> Key:
    """Name the request of an answer or a refusal in a manifest."""
    return item["entity"], item["slice"], tuple((name, value) for name, value in item["parameters"])


def request_key(request: DataRequest) -> Key:
    """Name a request whatever fields it asks for."""
    return request.entity_id, request.slice.start.isoformat(), request.group.parameters


def requests_of(staging: Staging, number: int) -> list[DataRequest]:
    """Read the requests of a batch, as the plan wrote them."""
    return [DataRequest.from_json(item) for item in staging.read_json(f"batch-{number:04d}.json")]
