"""Any sequence of loads ends in the table that a dict would be."""

from __future__ import annotations

import tempfile
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locus_stem.tables.lake import Lake
from locus_stem.tables.limits import Limits
from locus_stem.tables.measurements import Asked, load_measurements
from support.examples import examples
from support.load_counts import numbers

from .conftest import Bench, hour

FIELDS = ["W_avg", "Wh_sum", 'a.b `c"']
ENTITIES = [1, 2, 5, 9]
ZONES = ["UTC", "Pacific/Auckland", "America/Los_Angeles"]
HOURS = st.integers(-30, 30)

values = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.5]))
rows = st.tuples(
    st.sampled_from(ENTITIES), HOURS, st.dictionaries(st.sampled_from(FIELDS), values, max_size=3)
)
windows = st.tuples(HOURS, HOURS).map(sorted)
scopes = st.tuples(
    st.sampled_from(ENTITIES), st.lists(st.sampled_from(FIELDS), unique=True, max_size=3), windows
)
loads = st.fixed_dictionaries(
    {
        "parts": st.lists(st.lists(rows, max_size=25), max_size=3),
        "scope": st.lists(scopes, max_size=6),
        "zone": st.sampled_from(ZONES),
        "repeat": st.booleans(),
        "limits": st.sampled_from([Limits(), Limits(chunk_rows=4), Limits(4, merge_rows=3), Limits(3, 3, 9)]),
    }
)


class Model:
    """The table as a dict: values and local date by (entity, hour)."""

    def __init__(self):
        self.rows = {}
        self.dates = {}

    def load(self, parts, scope, zone):
        asked = {(e, at, f) for e, fields, (start, end) in scope for f in fields for at in range(start, end)}
        in_scope = {(entity, at) for entity, at, _ in asked}
        staged = {}
        for part in parts:
            for entity, at, found in part:
                if (entity, at) in in_scope:
                    row = staged.setdefault((entity, at), {})
                    row.update({name: value for name, value in found.items() if value is not None})
        new = changed = unchanged = withdrawn = 0
        for key in sorted(staged.keys() | (in_scope & self.rows.keys())):
            fields = [name for name in FIELDS if (*key, name) in asked]
            before = self.rows.get(key)
            after = {name: staged.get(key, {}).get(name) for name in fields}
            if before is None:
                self.rows[key] = {name: after.get(name) for name in FIELDS}
                self.dates[key] = hour(key[1]).astimezone(ZoneInfo(zone)).date()
                new += 1
            elif all(before[name] == after[name] for name in fields):
                unchanged += key in staged
            elif all(value is None for value in after.values()):
                before.update(after)
                withdrawn += 1
            else:
                before.update(after)
                changed += 1
        return new, changed, unchanged, withdrawn


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(loads, min_size=1, max_size=5))
def test_any_sequence_of_loads_ends_in_the_table_that_a_dict_would_be(sequence):
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Lake(Path(folder).as_uri()))
        model = Model()
        for one in sequence:
            parts = [bench.stage(part, one["zone"]) for part in one["parts"]]
            asked = [
                Asked(entity, 70, one["zone"], tuple(fields), hour(start), hour(end))
                for entity, fields, (start, end) in one["scope"]
            ]
            for _ in range(1 + one["repeat"]):
                counts = load_measurements(
                    bench.lake, "locus_site_data", "hourly", parts, asked, one["limits"]
                )
                assert numbers(counts) == model.load(one["parts"], one["scope"], one["zone"])
                assert bool(counts.versions) == bool(counts.new + counts.changed + counts.withdrawn)
            found = bench.lake.read(
                "locus_site_data", columns=["site_id", "ts", "granularity", "local_date", "month", *FIELDS]
            ).to_pylist()
            table = {(row["site_id"], row["ts"]): row for row in found}
            assert len(table) == len(found)
            assert {key: {name: row[name] for name in FIELDS} for key, row in table.items()} == {
                (entity, hour(at)): row for (entity, at), row in model.rows.items()
            }
            assert {key: row["local_date"] for key, row in table.items()} == {
                (entity, hour(at)): day for (entity, at), day in model.dates.items()
            }
            assert all(row["month"] == row["local_date"].replace(day=1) for row in found)
