"""What the demo prints at its end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from locus_stem.demo.compare import Difference
    from locus_stem.tables.lake import Lake

SAMPLE = """
SELECT s.name, d.ts, d.local_date, round(d."W_avg") AS "W_avg", round(d."Wh_sum") AS "Wh_sum"
FROM locus_site_data d JOIN locus_sites s ON s.site_id = d.site_id
WHERE d.granularity = 'hourly' AND d."Wh_sum" > 0
ORDER BY d.ts DESC, s.name LIMIT 8
"""
COVERAGE = """
SELECT source, granularity, count(DISTINCT entity_id) AS entities, min(local_date) AS first, max(local_date) AS last,
       sum(expected) AS expected, sum(received) AS received, sum(null_count) AS nulls,
       sum(expected - received - null_count) AS missing
FROM coverage WHERE granularity <> '' GROUP BY source, granularity ORDER BY source, granularity
"""


def print_report(
    lake: Lake,
    differences: Sequence[Difference],
    states: Sequence[tuple[str, str]],
    stats: Mapping[str, Any],
    seconds: float,
) -> None:
    """Print the runs, a sample of the tables read with SQL, and how each table compares with the sandbox."""
    lines = [
        "",
        "Sites' hourly measurements, read with SQL:",
        *_query(lake, SAMPLE, ("locus_site_data", "locus_sites")),
    ]
    lines += ["", "What was asked for and what came:", *_query(lake, COVERAGE, ("coverage",))]
    lines += ["", "Runs:", *(f"  {state:8} {name}" for name, state in states)]
    lines += ["", "Requests that the sandbox saw:", *(f"  {name}: {value}" for name, value in stats.items())]
    lines += ["", "Tables against what the sandbox holds:"]
    for found in differences:
        verdict = f"{found.differing} DIFFER" if found.differing else "exact"
        lines.append(f"  {found.table:24} {found.rows:8} rows, {found.due:8} due: {verdict}")
        lines += [f"      {example}" for example in found.examples]
    lines += ["", f"All in {seconds:.0f} s."]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _query(lake: Lake, sql: str, tables: Sequence[str]) -> list[str]:
    """Run SQL over tables of the lake; give the result as aligned lines."""
    import pyarrow as pa
    from deltalake import QueryBuilder

    builder = QueryBuilder()
    for name in tables:
        table = lake.open(name)
        if table is None:
            return [f"  there is no table {name}"]
        builder = builder.register(name, table)
    result = pa.table(builder.execute(sql).read_all())
    rows = [[str(value) for value in row.values()] for row in result.to_pylist()]
    widths = [max(map(len, column)) for column in zip(result.column_names, *rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [result.column_names, *rows]
    ]
