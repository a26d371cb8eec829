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
from markup import code, codes, heading, inline, list_table, literal, markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
    rows = [("Python", code(python)), *((code(one[1]), code(one[2])) for one in needed if one)]
    return list_table(("Package", "Version"), rows, (60, 40))


def extras() -> str:
    """List the package's extras."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    rows = [
        (code(name), ", ".join(code(one) for one in _lines(packages)))
        for name, packages in setup["options.extras_require"].items()
    ]
    return list_table(("Extra", "Packages"), rows, (20, 80))


def pools() -> str:
    """List the pools that the package's tasks use."""
    from locus_stem.pools import LOCUS, STEM

    rows = [(code(pool.name), str(pool.slots), pool.description) for pool in (LOCUS, STEM)]
    return list_table(("Pool", "Slots", "What it limits"), rows, (20, 10, 70))


def priorities() -> str:
    """List the absolute priorities in a pool's slot."""
    from locus_stem import pools as package

    rows = [
        (str(package.ALERT_PRIORITY), "alert sync"),
        (str(package.FETCH_PRIORITY), "plan and extract of the backfills, inventory"),
        (str(package.LOOK_PRIORITY), "looks of sensors"),
    ]
    return list_table(("``priority_weight``", "Tasks"), rows, (25, 75))


def configuration() -> str:
    """List the options of Airflow's configuration."""
    from locus_stem.get_provider_info import get_provider_info

    rows = []
    for section, described in get_provider_info()["config"].items():
        for name, option in described["options"].items():
            variable = f"AIRFLOW__{section.upper()}__{name.upper()}"
            rows.append((code(f"[{section}] {name}"), code(variable), inline(option["description"])))
    return list_table(("Option", "Environment variable", "Meaning"), rows, (25, 35, 40))


def connection(conn_type: str) -> str:
    """List the fields of a connection type."""
    from locus_stem.get_provider_info import get_provider_info

    (found,) = (one for one in get_provider_info()["connection-types"] if one["connection-type"] == conn_type)
    behaviour = found["ui-field-behaviour"]
    hidden, placeholders = set(behaviour["hidden-fields"]), behaviour["placeholders"]
    rows = [
        (
            code("host"),
            "Host",
            f"default {code(placeholders['host'])}; a URL with its scheme, or host, schema and port",
        )
    ]
    rows.extend(
        (code(name), behaviour["relabeling"].get(name, name.title()), "")
        for name in ("login", "password")
        if name not in hidden
    )
    for name, field in found["conn-fields"].items():
        choices = field["schema"].get("enum", ())
        allowed = "".join(f"; {code(choice)}" for choice in choices if choice)
        rows.append((f"extra {code(name)}", field["label"], inline(field["description"]) + allowed))
    return list_table(("Field", "In the form", "Meaning"), rows, (22, 23, 55))


def errors() -> str:
    """Show the tree of errors, as the module draws it."""
    from locus_stem.api import errors as module

    return literal((module.__doc__ or "").split("\n\n", 1)[1])


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
        (f":ref:`{spec.name} <table-{spec.name}>`", codes(spec.key), codes(spec.partitions))
        for spec in SPECS.values()
        if not spec.name.startswith("_")  # the package's own bookkeeping
    ]
    return list_table(("Table", "Key", "Partitions"), rows, (35, 45, 20))


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
        rows.append((code(column), code(_type(kind)), part, inline(meaning(name, column))))
    if spec.other is not None:
        rows.append(
            (
                "*a column a field*",
                code(_type(spec.other)),
                "",
                "named by the short name, in the unit that ``locus_data_available.unit`` gives",
            )
        )
    sources = codes(f"{endpoint.method} {endpoint.path}" for endpoint in SOURCES[name])
    origin = f"From {sources}.\n\n" if sources else ""
    return (
        heading(f"table-{name}", name)
        + origin
        + list_table(("Column", "Type", "", "Meaning, unit"), rows, (22, 18, 14, 46))
    )


def dags() -> str:
    """List every DAG with its schedule."""
    rows = [(f":ref:`{dag.dag_id} <dag-{dag.dag_id}>`", _schedule(dag), _title(dag)) for dag in _dags()]
    return list_table(("DAG", "Schedule (UTC)", "What it does"), rows, (28, 32, 40))


def dag(dag_id: str) -> str:
    """Describe a DAG as the UI does: its text, its schedule and its params."""
    (found,) = (one for one in _dags() if one.dag_id == dag_id)
    text = markdown(str(found.doc_md).strip().split("\n", 1)[1])
    rows = [
        (
            code(name),
            code(json.dumps(param.value)),
            _allowed(param.schema),
            inline(param.description or ""),
        )
        for name, param in ((name, found.params.get_param(name)) for name in found.params)
    ]
    runs = f"{found.max_active_runs} run{'s' if found.max_active_runs > 1 else ''} at a time at most"
    pools_of = sorted({task.pool for task in found.tasks} - {"default_pool"})
    facts = [f"Schedule: {_schedule(found)}", runs, f"Pool: {codes(pools_of) or 'none'}"]
    return heading(f"dag-{dag_id}", dag_id) + "\n\n".join(
        [
            f"**{_title(found)}.**",
            text,
            f"{'. '.join(facts)}.",
            list_table(("Param", "Default", "Allowed", "Meaning"), rows, (20, 12, 23, 45)) if rows else "",
        ]
    )


def endpoints(vendor: str) -> str:
    """List a vendor's endpoints with hook method and operator."""
    rows = []
    hook, operator = f"{vendor.title()}Hook", f"{vendor.title()}EndpointOperator"
    for endpoint in _endpoints(vendor):
        arguments = ", ".join(
            f"**{param.argument}**" if param.required else code(param.argument) for param in endpoint.params
        )
        rows.append(
            (
                code(f"{endpoint.method} {endpoint.path}"),
                inline(endpoint.summary),
                code(endpoint.name),
                code(operator) + " " + code(f'endpoint="{endpoint.name}"'),
                arguments,
            )
        )
    head = ("Endpoint", "What it does", f"Method of {code(hook)}", "Operator", "Arguments")
    return list_table(head, rows, (25, 20, 17, 21, 17))


def arguments(vendor: str) -> str:
    """List the arguments of a vendor's endpoints; where endpoints differ in one, a row for each kind, with names."""
    users: dict[Param, list[str]] = {}
    for endpoint in _endpoints(vendor):
        for param in endpoint.params:
            users.setdefault(replace(param, required=False), []).append(endpoint.name)
    kinds = Counter(param.argument for param in users)
    rows = []
    for param, names in sorted(users.items(), key=lambda item: item[0].argument):
        of = f" of {codes(names)}" if kinds[param.argument] > 1 else ""
        shown = code(param.name) if param.name else "each by its own name"
        rows.append((code(param.argument) + of, shown, inline(param.summary), inline(param.allowed)))
    return list_table(("Argument", "In the API", "What it means", "Allowed"), rows, (25, 15, 30, 30))


def limits() -> str:
    """List the longest period that a data request may have, by granularity, and how many make a year."""
    from locus_stem.api.granularity import INTERVAL_GRANULARITIES, limit
    from locus_stem.planning.slices import slices

    rows = []
    for name in INTERVAL_GRANULARITIES:
        longest = limit(name)
        year = slices(date(2025, 1, 1), date(2026, 1, 1), "UTC", name, datetime(2026, 2, 1, tzinfo=UTC))
        rows.append((code(name), f"less than {longest.days} days" if longest else "no limit", str(len(year))))
    head = ("Granularity", "Longest period of a request", "Requests for a year of one entity")
    return list_table(head, rows, (30, 35, 35))


def retries() -> str:
    """List how the tasks of the DAGs are retried."""
    from locus_stem.dags.wiring import DEFAULT_ARGS

    rows = [(code(name), code(value)) for name, value in DEFAULT_ARGS.items() if "retr" in name]
    return list_table(("Argument", "Value"), rows, (50, 50))


def sandbox_options() -> str:
    """Show the sandbox's own help."""
    from locus_stem.sandbox.__main__ import _parser

    parser = _parser()
    parser.formatter_class = partial(argparse.RawDescriptionHelpFormatter, width=100)  # type: ignore[assignment]
    return literal(parser.format_help())


def changelog() -> str:
    """Give the changelog, without its title."""
    return markdown((ROOT / "CHANGELOG.md").read_text().split("\n", 1)[1])


def _dags() -> list[DAG]:
    from locus_stem.dags import LocusAccount, StemAccount, account_dags

    return account_dags(LocusAccount(), StemAccount())


def _endpoints(vendor: str) -> Iterable[Endpoint]:
    from locus_stem.api import LOCUS_ENDPOINTS, STEM_ENDPOINTS

    return {"locus": LOCUS_ENDPOINTS, "stem": STEM_ENDPOINTS}[vendor]


def _title(dag: DAG) -> str:
    return str(dag.doc_md).strip().split("\n", 1)[0].lstrip("# ").strip()


def _schedule(dag: DAG) -> str:
    timetable: Any = dag.timetable
    return f"{timetable.description} ({code(timetable.summary)})"


def _allowed(schema: Mapping[str, Any]) -> str:
    kinds = [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    if "enum" in schema:
        return codes(str(value) for value in schema["enum"] if value is not None)
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
