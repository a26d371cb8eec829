"""Tables of the documentation, made from the package itself: each fact stands there and nowhere else.

Each function gives reStructuredText; `.. fact:: NAME ARGUMENT` puts it into a page.
"""

from __future__ import annotations

import argparse
import configparser
import json
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from columns import meaning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow.sdk import DAG

    from locus_stem.api.endpoint import Endpoint
    from locus_stem.api.parameter import Param

ROOT = Path(__file__).parents[3]


def requirements() -> str:
    """List what is installed with the package."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    python = setup["options"]["python_requires"]
    needed = [
        re.match(r"([A-Za-z0-9.-]+)(.*)", line) for line in _lines(setup["options"]["install_requires"])
    ]
    rows = [("Python", _code(python)), *((_code(one[1]), _code(one[2])) for one in needed if one)]
    return _table(("Package", "Version"), rows, (60, 40))


def extras() -> str:
    """List the package's extras."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    rows = [
        (_code(name), ", ".join(_code(one) for one in _lines(packages)))
        for name, packages in setup["options.extras_require"].items()
    ]
    return _table(("Extra", "Packages"), rows, (20, 80))


def pools() -> str:
    """List the pools that the package's tasks use."""
    from locus_stem.pools import LOCUS, STEM

    rows = [(_code(pool.name), str(pool.slots), pool.description) for pool in (LOCUS, STEM)]
    return _table(("Pool", "Slots", "What it limits"), rows, (20, 10, 70))


def priorities() -> str:
    """List the absolute priorities in a pool's slot."""
    from locus_stem import pools as package

    rows = [
        (str(package.ALERT_PRIORITY), "alert sync"),
        (str(package.FETCH_PRIORITY), "plan and extract of the backfills, inventory"),
        (str(package.LOOK_PRIORITY), "looks of sensors"),
    ]
    return _table(("``priority_weight``", "Tasks"), rows, (25, 75))


def configuration() -> str:
    """List the options of Airflow's configuration."""
    from locus_stem.get_provider_info import get_provider_info

    rows = []
    for section, described in get_provider_info()["config"].items():
        for name, option in described["options"].items():
            variable = f"AIRFLOW__{section.upper()}__{name.upper()}"
            rows.append((_code(f"[{section}] {name}"), _code(variable), _inline(option["description"])))
    return _table(("Option", "Environment variable", "Meaning"), rows, (25, 35, 40))


def connection(conn_type: str) -> str:
    """List the fields of a connection type."""
    from locus_stem.get_provider_info import get_provider_info

    (found,) = (one for one in get_provider_info()["connection-types"] if one["connection-type"] == conn_type)
    behaviour = found["ui-field-behaviour"]
    hidden, placeholders = set(behaviour["hidden-fields"]), behaviour["placeholders"]
    rows = [
        (
            _code("host"),
            "Host",
            f"default {_code(placeholders['host'])}; a URL with its scheme, or host, schema and port",
        )
    ]
    rows.extend(
        (_code(name), behaviour["relabeling"].get(name, name.title()), "")
        for name in ("login", "password")
        if name not in hidden
    )
    for name, field in found["conn-fields"].items():
        choices = field["schema"].get("enum", ())
        allowed = "".join(f"; {_code(choice)}" for choice in choices if choice)
        rows.append((f"extra {_code(name)}", field["label"], _inline(field["description"]) + allowed))
    return _table(("Field", "In the form", "Meaning"), rows, (22, 23, 55))


def errors() -> str:
    """Show the tree of errors, as the module draws it."""
    from locus_stem.api import errors as module

    return _literal((module.__doc__ or "").split("\n\n", 1)[1])


def error_classes() -> str:
    """Describe each error."""
    from locus_stem.api import errors as module

    names = re.findall(r"\b[A-Z]\w+", (module.__doc__ or "").split("\n\n", 1)[1])
    classes = dict.fromkeys(name for name in names if isinstance(getattr(module, name, None), type))
    return "\n\n".join(
        f".. autoexception:: {module.__name__}.{name}\n   :no-members:\n   :show-inheritance:"
        for name in classes
    )


def tables() -> str:
    """List every table."""
    from locus_stem.tables.schemas import SPECS

    rows = [
        (f":ref:`{spec.name} <table-{spec.name}>`", _codes(spec.key), _codes(spec.partitions))
        for spec in SPECS.values()
        if not spec.name.startswith("_")  # the package's own bookkeeping
    ]
    return _table(("Table", "Key", "Partitions"), rows, (35, 45, 20))


def table(name: str) -> str:
    """List the columns of a table."""
    from locus_stem.pipelines.sources import SOURCES
    from locus_stem.tables.schemas import SPECS

    spec = SPECS[name]
    rows = []
    for column, kind in spec.columns.items():
        part = "key" if column in spec.key else ""
        if column in spec.partitions:
            part = f"{part}, partition".removeprefix(", ")
        rows.append((_code(column), _code(_type(kind)), part, _inline(meaning(name, column))))
    if spec.other is not None:
        rows.append(
            (
                "*a column a field*",
                _code(_type(spec.other)),
                "",
                "named by the short name, in the unit that ``locus_data_available.unit`` gives",
            )
        )
    sources = _codes(f"{endpoint.method} {endpoint.path}" for endpoint in SOURCES[name])
    origin = f"From {sources}.\n\n" if sources else ""
    return (
        _heading(f"table-{name}", name)
        + origin
        + _table(("Column", "Type", "", "Meaning, unit"), rows, (22, 18, 14, 46))
    )


def dags() -> str:
    """List every DAG with its schedule."""
    rows = [(f":ref:`{dag.dag_id} <dag-{dag.dag_id}>`", _schedule(dag), _title(dag)) for dag in _dags()]
    return _table(("DAG", "Schedule (UTC)", "What it does"), rows, (28, 32, 40))


def dag(dag_id: str) -> str:
    """Describe a DAG as the UI does: its text, its schedule and its params."""
    (found,) = (one for one in _dags() if one.dag_id == dag_id)
    text = _markdown(str(found.doc_md).strip().split("\n", 1)[1])
    rows = [
        (
            _code(name),
            _code(json.dumps(param.value)),
            _allowed(param.schema),
            _inline(param.description or ""),
        )
        for name, param in ((name, found.params.get_param(name)) for name in found.params)
    ]
    runs = f"{found.max_active_runs} run{'s' if found.max_active_runs > 1 else ''} at a time at most"
    pools_of = sorted({task.pool for task in found.tasks} - {"default_pool"})
    facts = [f"Schedule: {_schedule(found)}", runs, f"Pool: {_codes(pools_of) or 'none'}"]
    return _heading(f"dag-{dag_id}", dag_id) + "\n\n".join(
        [
            f"**{_title(found)}.**",
            text,
            f"{'. '.join(facts)}.",
            _table(("Param", "Default", "Allowed", "Meaning"), rows, (20, 12, 23, 45)) if rows else "",
        ]
    )


def endpoints(vendor: str) -> str:
    """List a vendor's endpoints with hook method and operator."""
    rows = []
    hook, operator = f"{vendor.title()}Hook", f"{vendor.title()}EndpointOperator"
    for endpoint in _endpoints(vendor):
        arguments = ", ".join(
            f"**{param.argument}**" if param.required else _code(param.argument) for param in endpoint.params
        )
        rows.append(
            (
                _code(f"{endpoint.method} {endpoint.path}"),
                _inline(endpoint.summary),
                _code(endpoint.name),
                _code(operator) + " " + _code(f'endpoint="{endpoint.name}"'),
                arguments,
            )
        )
    head = ("Endpoint", "What it does", f"Method of {_code(hook)}", "Operator", "Arguments")
    return _table(head, rows, (25, 20, 17, 21, 17))


def arguments(vendor: str) -> str:
    """List the arguments of a vendor's endpoints; where endpoints differ in one, a row for each kind, with names."""
    users: dict[Param, list[str]] = {}
    for endpoint in _endpoints(vendor):
        for param in endpoint.params:
            users.setdefault(replace(param, required=False), []).append(endpoint.name)
    kinds = Counter(param.argument for param in users)
    rows = []
    for param, names in sorted(users.items(), key=lambda item: item[0].argument):
        of = f" of {_codes(names)}" if kinds[param.argument] > 1 else ""
        shown = _code(param.name) if param.name else "each by its own name"
        rows.append((_code(param.argument) + of, shown, _inline(param.summary), _inline(param.allowed)))
    return _table(("Argument", "In the API", "What it means", "Allowed"), rows, (25, 15, 30, 30))


def limits() -> str:
    """List the longest period that a data request may have, by granularity, and how many make a year."""
    from locus_stem.api.granularity import INTERVAL_GRANULARITIES, limit
    from locus_stem.planning.slices import slices

    rows = []
    for name in INTERVAL_GRANULARITIES:
        longest = limit(name)
        year = slices(date(2025, 1, 1), date(2026, 1, 1), "UTC", name, datetime(2026, 2, 1, tzinfo=UTC))
        rows.append(
            (_code(name), f"less than {longest.days} days" if longest else "no limit", str(len(year)))
        )
    head = ("Granularity", "Longest period of a request", "Requests for a year of one entity")
    return _table(head, rows, (30, 35, 35))


def retries() -> str:
    """List how the tasks of the DAGs are retried."""
    from locus_stem.dags.wiring import DEFAULT_ARGS

    rows = [(_code(name), _code(value)) for name, value in DEFAULT_ARGS.items() if "retr" in name]
    return _table(("Argument", "Value"), rows, (50, 50))


def sandbox_options() -> str:
    """Show the sandbox's own help."""
    from locus_stem.sandbox.__main__ import _parser

    parser = _parser()
    parser.formatter_class = partial(argparse.RawDescriptionHelpFormatter, width=100)  # type: ignore[assignment]
    return _literal(parser.format_help())


def changelog() -> str:
    """Give the changelog, without its title."""
    return _markdown((ROOT / "CHANGELOG.md").read_text().split("\n", 1)[1])


def _dags() -> list[DAG]:
    from locus_stem.dags import LocusAccount, StemAccount, account_dags

    return account_dags(LocusAccount(), StemAccount())


def _endpoints(vendor: str) -> Iterable[Endpoint]:
    from locus_stem.api import LOCUS_ENDPOINTS, STEM_ENDPOINTS

    return {"locus": LOCUS_ENDPOINTS, "stem": STEM_ENDPOINTS}[vendor]


def _title(dag: DAG) -> str:
    return str(dag.doc_md).strip().split("\n", 1)[0].lstrip("# ").strip()


def _heading(label: str, title: str) -> str:
    return f".. _{label}:\n\n{title}\n{'-' * len(title)}\n\n"


def _schedule(dag: DAG) -> str:
    timetable: Any = dag.timetable
    return f"{timetable.description} ({_code(timetable.summary)})"


def _allowed(schema: Mapping[str, Any]) -> str:
    kinds = [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    if "enum" in schema:
        return _codes(str(value) for value in schema["enum"] if value is not None)
    named = {
        "null": "empty",
        "string": "text",
        "array": "list",
        "integer": "whole number",
        "boolean": "true, false",
    }
    words = [named.get(kind, kind) for kind in kinds if kind != "null"]
    if schema.get("format"):
        words = [str(schema["format"])]
    if "minimum" in schema or "maximum" in schema:
        words.append(f"{schema.get('minimum', '…')} to {schema.get('maximum', '…')}")
    if "null" in kinds:
        words.append("empty")
    return ", ".join(words)


def _type(kind: Any) -> str:
    return str(kind).replace("element: ", "").replace("item: ", "").replace("double", "float64")


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _code(text: str) -> str:
    return f"``{text}``"


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(_code(text) for text in texts)


def _inline(text: str) -> str:
    """Write a text's `code` as reStructuredText's; nothing else of it is markup."""
    parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*)", text)
    return "".join(_code(part[1:-1]) if part.startswith("`") else _escaped(part) for part in parts)


def _escaped(text: str) -> str:
    return text if text.startswith("**") else re.sub(r"([\\*|]|_(?=\W|$))", r"\\\1", text)


def _literal(text: str) -> str:
    return "\n".join([".. code-block:: text", "", *(f"    {line}".rstrip() for line in text.splitlines())])


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], widths: tuple[int, ...]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {' '.join(map(str, widths))}", ""]
    for row in (head, *rows):
        for number, cell in enumerate(row):
            lines.append(f"   {'*' if number == 0 else ' '} - {cell}".rstrip())
    return "\n".join(lines)


def _markdown(text: str) -> str:
    """Turn the Markdown that the package's own texts use into reStructuredText: headings, lists, paragraphs, code."""
    return "\n".join(_markdown_lines(text)).strip()


def _markdown_lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        heading = re.match(r"(#{2,4}) (.+)", line)
        if heading:
            yield from (f".. rubric:: {_inline(heading[2])}", f"   :heading-level: {len(heading[1])}")
        else:
            yield _inline(line)


#: What `.. fact::` can name.
FACTS: dict[str, Callable[..., str]] = {
    made.__name__: made
    for made in (
        *(
            requirements,
            extras,
            pools,
            priorities,
            configuration,
            connection,
            errors,
            error_classes,
            tables,
            table,
        ),
        *(dags, dag, endpoints, arguments, limits, retries, sandbox_options, changelog),
    )
}
