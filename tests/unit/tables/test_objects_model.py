"""Any sequence of listings and of answers on available fields ends in the tables that dicts would be."""

from __future__ import annotations

import tempfile
from datetime import date, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locus_stem.tables.lake import Lake
from locus_stem.tables.objects import load_data_available, load_objects
from support.examples import examples
from support.load_counts import numbers

MONDAY = date(2024, 1, 1)
#: Answered names and the columns that they become; the last two are in no reference.
COLUMNS = {"name": "name", "clientId": "client_id", "moreText": "more_text", "aCount": "a_count"}
VALUES = {
    "name": st.sampled_from(["a", "b", None]),
    "clientId": st.sampled_from([1, 2, None]),
    "moreText": st.sampled_from(["x", "", None]),
    "aCount": st.sampled_from([0, 5, None]),
}
site = st.fixed_dictionaries({}, optional=VALUES)
listings = st.fixed_dictionaries(
    {
        "sites": st.dictionaries(st.integers(1, 5), site, max_size=5),
        "complete": st.booleans(),
        "days": st.integers(0, 2),
        "repeat": st.integers(0, 1),
    }
)
modest = settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Sites:
    """What the table has of each site: its columns, and when it was no longer listed."""

    def __init__(self):
        self.rows = {}

    def load(self, sites, complete, today):
        new = changed = unchanged = withdrawn = 0
        for number, one in sites.items():
            row = {column: one.get(name) for name, column in COLUMNS.items()} | {"removed_on": None}
            new += number not in self.rows
            unchanged += self.rows.get(number) == row
            changed += number in self.rows and self.rows[number] != row
            self.rows[number] = row
        if complete:
            gone = [n for n, row in self.rows.items() if n not in sites and row["removed_on"] is None]
            withdrawn = len(gone)
            for number in gone:
                self.rows[number]["removed_on"] = today
        return new, changed, unchanged, withdrawn


@modest
@given(st.lists(listings, min_size=1, max_size=6))
def test_any_sequence_of_listings_ends_in_the_table_that_a_dict_would_be(sequence):
    with tempfile.TemporaryDirectory() as folder:
        lake, model, today = Lake(Path(folder).as_uri()), Sites(), MONDAY
        for one in sequence:
            today += timedelta(days=one["days"])
            objects = [{"id": number, "statusCode": 200, **values} for number, values in one["sites"].items()]
            for _ in range(1 + one["repeat"]):
                counts = load_objects(lake, "locus_sites", objects, complete=one["complete"], today=today)
                assert numbers(counts) == model.load(one["sites"], one["complete"], today)
                assert bool(counts.versions) == bool(counts.new + counts.changed + counts.withdrawn)
        found = lake.read("locus_sites").to_pylist()
        assert len(found) == len(model.rows)
        for row in found:
            held = {column: row.get(column) for column in (*COLUMNS.values(), "removed_on")}
            assert held == model.rows[row["site_id"]]


fields = st.dictionaries(
    st.sampled_from(["W_avg", "W_max", "Wh_sum", "T_min"]),
    st.tuples(st.sampled_from(["W", "kW"]), st.sampled_from([("hourly",), ("hourly", "daily"), ()])),
)
entities = st.tuples(st.sampled_from(["site", "component"]), st.integers(1, 3))


@modest
@given(st.lists(st.dictionaries(entities, fields, max_size=4), min_size=1, max_size=6))
def test_any_sequence_of_available_fields_ends_in_the_table_that_a_dict_would_be(sequence):
    with tempfile.TemporaryDirectory() as folder:
        lake, model = Lake(Path(folder).as_uri()), {}
        for answers in sequence:
            asked = {
                entity: [
                    {
                        "baseField": name.partition("_")[0],
                        "unit": unit,
                        "granularities": list(granularities),
                        "aggregations": [{"shortName": name}],
                    }
                    for name, (unit, granularities) in named.items()
                ]
                for entity, named in answers.items()
            }
            before = {key: row for key, row in model.items() if key[:2] in answers}
            after = {(*entity, name): row for entity, named in answers.items() for name, row in named.items()}
            due = (
                len(after.keys() - before.keys()),
                sum(before[key] != after[key] for key in before.keys() & after.keys()),
                sum(before[key] == after[key] for key in before.keys() & after.keys()),
                len(before.keys() - after.keys()),
            )
            assert numbers(load_data_available(lake, asked)) == due
            model = {key: row for key, row in model.items() if key not in before} | after
        found = lake.read("locus_data_available").to_pylist()
        assert len(found) == len(model)
        assert {
            (row["entity_type"], row["entity_id"], row["short_name"]): (
                row["unit"],
                tuple(row["granularities"]),
            )
            for row in found
        } == model
