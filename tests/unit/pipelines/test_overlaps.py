from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from locus_stem.pipelines.overlaps import numbered, parts_of
from locus_stem.tables.lake import Lake
from locus_stem.tables.staging import Staging


def item(minute, fields, entity=1, parameters=()):
    asked_at = datetime(2025, 10, 27, 12, minute, tzinfo=UTC).isoformat()
    return {
        "entity": entity, "slice": "2025-10-01", "parameters": list(parameters),
        "fields": list(fields), "asked_at": asked_at,
    }  # fmt: skip


def rows(entity, **values):
    at = pa.array([0], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    held = {name: pa.array([value], pa.float64()) for name, value in values.items()}
    return pa.table({"entity_id": [entity], "ts": at, "local_date": at.cast(pa.date32()), **held})


@pytest.fixture
def staging(tmp_path):
    made = Staging(Lake(f"file://{tmp_path}"), "plan")
    made.write_json("plan.json", {})
    return made


def staged(staging, *answers):
    """Write one part of answers, each its item and its rows, or None."""
    tables = [numbered(table, place) for place, (_, table) in enumerate(answers) if table is not None]
    whole = pa.concat_tables(tables, promote_options="default") if tables else None
    return staging.batch(0).commit_part(whole, {"answered": [item for item, _ in answers]})


def counting(staging, *manifests):
    """Give the values that count, a dict a row, part by part."""
    found = []
    for part in parts_of(staging, list(manifests)):
        table = pq.read_table(part.removeprefix("file://"))
        names = [name for name in table.column_names if name.isupper()]
        found.append([{name: row[name] for name in names} for row in table.to_pylist()])
    return found


def test_parts_that_share_no_answer_are_as_they_are_in_the_order_in_which_they_were_asked(staging):
    late = staged(staging, (item(5, "A"), rows(1, A=5.0)))
    early = staged(staging, (item(1, "B"), rows(1, B=1.0)), (item(2, "A", entity=2), rows(2, A=2.0)))
    other = staged(staging, (item(3, "A", parameters=[["k", "v"]]), rows(1, A=3.0)))
    assert parts_of(staging, [late, early, other]) == [early["part"], other["part"], late["part"]]


def test_of_an_answer_that_another_try_has_asked_later_nothing_counts_though_the_other_one_is_empty(staging):
    early = staged(staging, (item(1, "AB"), rows(1, A=1.0, B=1.0)), (item(2, "A", entity=2), rows(2, A=2.0)))
    late = staged(staging, (item(3, "AB"), None))
    assert counting(staging, late, early) == [[{"A": 2.0, "B": None}]]


def test_fields_that_were_asked_later_alone_do_not_count_and_the_others_stay(staging):
    early = staged(staging, (item(1, "AB"), rows(1, A=1.0, B=1.0)))
    late = staged(staging, (item(2, "BC"), rows(1, B=None, C=2.0)))
    assert counting(staging, early, late) == [[{"A": 1.0, "B": None}], [{"B": None, "C": 2.0}]]


def test_of_three_tries_each_field_is_of_the_last_that_asked_it(staging):
    first = staged(staging, (item(1, "ABC"), rows(1, A=1.0, B=1.0, C=1.0)))
    second = staged(staging, (item(2, "AB"), rows(1, A=2.0, B=2.0)))
    third = staged(staging, (item(3, "A"), rows(1, A=3.0)))
    assert counting(staging, third, second, first) == [
        [{"A": None, "B": None, "C": 1.0}], [{"A": None, "B": 2.0}], [{"A": 3.0}],
    ]  # fmt: skip
