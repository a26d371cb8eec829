"""Loads of Stem's streams: any sequence of them ends in the table that a dict would be."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locus_stem.tables.lake import Lake
from locus_stem.tables.limits import Limits
from locus_stem.tables.streams import LEAD, TABLE, VALUE, load_streams, series_asked
from support.examples import examples
from support.load_counts import numbers

from .conftest import Bench, hour

SITES = ["50%_peak?#1", "Lager Süd 2", "plant/north/3", "white house, 'x' \"4\""]
TYPES = ["CONVERTER", "MONITOR"]
#: Sites in their order, so that numbers are too.
NAMES = {2 * place + kind: (site, TYPES[kind]) for place, site in enumerate(SITES) for kind in (0, 1)}
RESOLUTIONS = [900, 3600]
#: Places on the grid around the beginning of February 2024.
PLACES = st.integers(-12, 12)
SECOND = 1_000_000


def instant(place, resolution):
    return hour(0) + timedelta(seconds=place * resolution)


def stage(bench, rows, resolution):
    """Stage rows (series, place on the grid, kW, seconds from start to end)."""
    starts = [instant(place, resolution) for _, place, _, _ in rows]
    return bench.staging.batch(0).commit_part(
        pa.table(
            {
                "entity_id": pa.array([series for series, _, _, _ in rows], pa.int64()),
                "ts": pa.array(starts, pa.timestamp("us", "UTC")),
                "local_date": pa.array([start.date() for start in starts], pa.date32()),
                VALUE: pa.array([value for _, _, value, _ in rows], pa.float64()),
                LEAD: pa.array([float(lead * SECOND) for _, _, _, lead in rows], pa.float64()),
            }
        ),
        {},
    )["part"]


class Model:
    """The table as a dict: value and start by (series, resolution, place)."""

    def __init__(self):
        self.rows = {}

    def load(self, rows, scope, resolution):
        asked = {(series, place) for series, (start, end) in scope for place in range(start, end)}
        given = {(series, place): (value, lead) for series, place, value, lead in rows}
        new = changed = unchanged = withdrawn = 0
        for series, place in sorted(asked):
            key = series, resolution, place
            before, after = self.rows.get(key), given.get((series, place))
            if after is None:
                if before is not None and before[0] is not None:
                    self.rows[key] = (None, before[1])
                    withdrawn += 1
            elif before is None:
                self.rows[key] = after
                new += 1
            elif before == after:
                unchanged += 1
            else:
                self.rows[key] = after
                lost = after[0] is None and before[0] is not None
                withdrawn, changed = withdrawn + lost, changed + (not lost)
        return new, changed, unchanged, withdrawn


def held(bench):
    rows = bench.lake.read(TABLE).to_pylist()
    numbers = {name: series for series, name in NAMES.items()}
    found = {}
    for row in rows:
        step = timedelta(seconds=row["resolution"])
        begin = row["end_datetime"] - step
        assert row["month"] == begin.date().replace(day=1)
        key = numbers[row["site_id"], row["stream_type"]], int(row["resolution"]), (begin - hour(0)) // step
        found[key] = (row[VALUE], (row["end_datetime"] - row["start_datetime"]).total_seconds())
    assert len(found) == len(rows)
    return found


ROWS = st.lists(
    st.tuples(
        st.sampled_from(sorted(NAMES)),
        PLACES,
        st.one_of(st.none(), st.sampled_from([0.0, -1.5, 2.25])),
        st.sampled_from([899, 899, 900]),
    ),
    max_size=40,
    unique_by=lambda row: row[:2],
)
WINDOWS = st.tuples(PLACES, PLACES).map(sorted)
LOADS = st.fixed_dictionaries(
    {
        "rows": ROWS,
        "scope": st.lists(st.tuples(st.sampled_from(sorted(NAMES)), WINDOWS), max_size=8),
        "resolution": st.sampled_from(RESOLUTIONS),
        "repeat": st.booleans(),
        "limits": st.sampled_from(
            [Limits(), Limits(chunk_rows=30), Limits(30, 2, 10_000), Limits(20, 0, 120)]
        ),
    }
)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LOADS, min_size=1, max_size=5))
def test_any_sequence_of_loads_ends_in_the_table_that_a_dict_would_be(sequence):
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Lake(Path(folder).as_uri()))
        model = Model()
        for one in sequence:
            resolution = one["resolution"]
            parts = [stage(bench, one["rows"], resolution)]
            asked = [
                series_asked(series, instant(start, resolution), instant(end, resolution))
                for series, (start, end) in one["scope"]
            ]
            for _ in range(1 + one["repeat"]):
                counts = load_streams(bench.lake, resolution, parts, asked, NAMES, one["limits"])
                assert numbers(counts) == model.load(one["rows"], one["scope"], resolution)
                assert bool(counts.versions) == bool(counts.new + counts.changed + counts.withdrawn)
            if bench.lake.open(TABLE) is not None:
                assert held(bench) == model.rows


@pytest.mark.parametrize("limits", [Limits(), Limits(merge_rows=10)])
def test_a_months_revision_is_one_commit_whether_merged_or_written_anew(bench, limits):
    places = range(200)
    asked = [series_asked(series, instant(0, 900), instant(200, 900)) for series in (0, 1, 2, 5)]
    rows = [(series, place, float(place), 899) for series in (0, 1, 2, 3, 5) for place in places]
    everything = [*asked, series_asked(3, instant(0, 900), instant(200, 900))]
    load_streams(bench.lake, 900, [stage(bench, rows, 900)], everything, NAMES)
    load_streams(bench.lake, 3600, [stage(bench, [(1, 0, 5.0, 3599)], 3600)],
                 [series_asked(1, instant(0, 3600), instant(1, 3600))], NAMES)  # fmt: skip
    before, version = held(bench), bench.version(TABLE)
    revised = [(series, place, place + 0.5, 899) for series in (0, 1, 2, 5) for place in places if place != 7]
    revised.append((4, 3, 9.0, 899))
    counts = load_streams(bench.lake, 900, [stage(bench, revised, 900)],
                          [*asked, series_asked(4, instant(0, 900), instant(9, 900))], NAMES, limits)  # fmt: skip
    assert (counts.new, counts.changed, counts.withdrawn) == (1, 4 * 199, 4)
    assert bench.version(TABLE) == version + 1
    wanted = before | {
        (series, 900, place): (None if place == 7 else place + 0.5, 899.0)
        for series in (0, 1, 2, 5)
        for place in places
    }
    assert held(bench) == wanted | {(4, 900, 3): (9.0, 899.0)}


def test_a_load_of_a_window_that_nothing_was_asked_of_makes_no_table(bench):
    assert load_streams(bench.lake, 900, [], [], NAMES).versions == {}
    assert not DeltaTable.is_deltatable(bench.lake.table_uri(TABLE))
