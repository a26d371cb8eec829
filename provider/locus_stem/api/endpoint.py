"""An endpoint, described once as data, and a call of it, prepared but not sent.

The same description makes a client's or hook's method (it is a descriptor), the path and query of a request,
the check of its arguments, the sandbox's route and the documentation's table.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload
from urllib.parse import quote

from locus_stem.api.parameter import ANNOTATIONS, Kind, Param, Value, written

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from locus_stem.api.bounds import Bound
    from locus_stem.api.errors import ApiError

    ReadRefusal = Callable[[int, str | None, str], ApiError | None]

R_co = TypeVar("R_co", covariant=True)

#: Left readable in a query: servers take them literally (RFC 3986) and the references' examples show them so.
_QUERY_SAFE = "/,:"


class Caller(Protocol[R_co]):
    """What can send a call: a client, an asynchronous client or a hook."""

    def call(self, call: Call) -> R_co:
        """Send it and give what stands under the answer's key."""


@dataclass(frozen=True)
class Endpoint:
    """One endpoint of a vendor's API; as a class attribute it is a method of the instances.

    :param path: template of the path, ``/v3/sites/{site_id}/data``.
    :param answer_key: key of the answer's object under which the wanted stands; None: the object itself.
    :param reference: page of the vendor's reference.
    :param ids: the parameters in the path, in the path's order.
    :param query: the parameters in the query, in the reference's order.
    :param many: whether the wanted is a list of objects.
    :param check: refuses arguments that are allowed one by one but not together; gets the canonical ones.
    :param read_refusal: from (status, message, path) to the error that it means, None where the status tells; the
        message is None where it can't be read.
    :param bounded: from the canonical arguments to what the answer holds at most, None where they don't tell.
    :param name: the method's; taken from the class that the endpoint stands in.
    """

    path: str
    answer_key: str | None
    reference: str
    summary: str
    ids: tuple[Param, ...] = ()
    query: tuple[Param, ...] = ()
    many: bool = False
    check: Callable[[Mapping[str, Any]], None] | None = None
    read_refusal: ReadRefusal | None = None
    bounded: Callable[[Mapping[str, Any]], Bound] | None = None
    method: str = "GET"
    name: str = field(default="", compare=False)

    def __set_name__(self, owner: type, name: str) -> None:
        object.__setattr__(self, "name", name)

    @overload
    def __get__(self, instance: None, owner: type) -> Endpoint: ...

    @overload
    def __get__(self, instance: Caller[R_co], owner: type) -> Callable[..., R_co]: ...

    def __get__(self, instance: Caller[R_co] | None, owner: type) -> Endpoint | Callable[..., R_co]:
        if instance is None:
            return self
        caller = instance

        def method(*ids: Any, **arguments: Any) -> R_co:
            if len(ids) > len(self.ids):
                raise TypeError(f"{self.name}() takes {len(self.ids)} ids by position, {len(ids)} were given")
            by_position = {param.argument: value for param, value in zip(self.ids, ids, strict=False)}
            return caller.call(self.request(**by_position, **arguments))

        method.__name__ = self.name
        method.__qualname__ = f"{owner.__qualname__}.{self.name}"
        method.__doc__ = self.documentation
        vars(method)["__signature__"] = self.signature
        return method

    @property
    def params(self) -> tuple[Param, ...]:
        """All parameters: the path's, then the query's."""
        return self.ids + self.query

    @cached_property
    def query_names(self) -> frozenset[str]:
        """What the query's parameters are called in a request."""
        return frozenset(param.name for param in self.query)

    @cached_property
    def signature(self) -> inspect.Signature:
        """Signature of the method: ids by position or name, the rest by name."""
        positional, named = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature(
            [
                inspect.Parameter(
                    param.argument,
                    positional if param in self.ids else named,
                    default=inspect.Parameter.empty if param.required else None,
                    annotation=ANNOTATIONS[param.kind] + ("" if param.required else " | None"),
                )
                for param in self.params
            ],
            return_annotation="list[dict[str, Any]]" if self.many else "dict[str, Any]",
        )

    @cached_property
    def documentation(self) -> str:
        """Docstring of the method."""
        lines = [f"{self.summary}.", "", f"``{self.method} {self.path}``, reference: {self.reference}.", ""]
        lines += [f":param {param.argument}: {param.summary}; {param.allowed}." for param in self.params]
        lines += [
            f":return: {self.returns}.",
            ":raises ValueError: an argument is missing, unknown or not allowed; nothing was sent.",
            ":raises locus_stem.api.errors.ApiError: the API refused or failed.",
        ]
        return "\n".join(lines)

    @property
    def returns(self) -> str:
        """Say what the method gives."""
        if self.answer_key is None:
            return "the answer's object"
        return (
            f"what the answer holds under ``{self.answer_key}``{', a list of objects' if self.many else ''}"
        )

    def request(self, **arguments: Any) -> Call:
        """Check the arguments and prepare a call; None stands for an argument that is left out.

        :raises ValueError: names the argument, the value and what is allowed.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        known = {param.argument: param for param in self.params}
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"{name}: {value!r} is refused; {self.name} takes {', '.join(known)}")
        canonical: dict[str, Value] = {}
        for name, param in known.items():
            if name in given:
                value = param.read(given[name])
                if value != ():
                    canonical[name] = value
            elif param.required:
                raise ValueError(
                    f"{name}: None is refused, {self.name} requires it; allowed: {param.allowed}"
                )
        self._check_pairs(canonical)
        if self.check is not None:
            self.check(canonical)
        return Call(self, tuple(canonical.items()))

    def _check_pairs(self, canonical: Mapping[str, Value]) -> None:
        for param in self.query:
            if param.kind is Kind.PAIRS:
                for name, _ in written(param.name, canonical.get(param.argument, ())):
                    if name in self.query_names:
                        raise ValueError(
                            f"{param.argument}: {name!r} is refused; it is an argument of its own"
                        )


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is ready to be sent: an endpoint and its canonical arguments. Hashable."""

    endpoint: Endpoint
    items: tuple[tuple[str, Value], ...]

    @property
    def arguments(self) -> dict[str, Value]:
        """The arguments by their Python names."""
        return dict(self.items)

    @property
    def bound(self) -> Bound | None:
        """What the answer holds at most, None where the arguments don't tell."""
        return self.endpoint.bounded(self.arguments) if self.endpoint.bounded else None

    @property
    def path(self) -> str:
        """The path; each id is percent-encoded as one segment, whatever it holds."""
        given = self.arguments
        return re.sub(r"{(\w+)}", lambda match: _segment(str(given[match[1]])), self.endpoint.path)

    @property
    def params(self) -> list[tuple[str, str]]:
        """Name and value pairs of the query, not percent-encoded."""
        given = self.arguments
        return [
            pair
            for param in self.endpoint.query
            if param.argument in given
            for pair in written(param.name, given[param.argument])
        ]

    @property
    def target(self) -> str:
        """Path and query as they go over the wire."""
        query = "&".join(
            f"{quote(name, safe='')}={quote(value, safe=_QUERY_SAFE)}" for name, value in self.params
        )
        return f"{self.path}?{query}" if query else self.path

    def to_json(self) -> dict[str, Any]:
        """Write for a file."""
        return {"endpoint": self.endpoint.name, "arguments": self.arguments}

    @classmethod
    def from_json(cls, endpoints: type, data: Mapping[str, Any]) -> Call:
        """Read what :meth:`to_json` wrote.

        :param endpoints: the class that holds the endpoint, as LocusEndpoints.
        """
        endpoint = getattr(endpoints, data["endpoint"])
        if not isinstance(endpoint, Endpoint):
            raise TypeError(f"{endpoints.__name__}.{data['endpoint']} is no endpoint")
        return endpoint.request(**data["arguments"])


def endpoints_of(owner: type) -> tuple[Endpoint, ...]:
    """Give the endpoints that stand in a class, in its order."""
    return tuple(value for value in vars(owner).values() if isinstance(value, Endpoint))


def _segment(text: str) -> str:
    # a segment of dots alone would be taken for a step in the path, and clients resolve it before sending
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")
