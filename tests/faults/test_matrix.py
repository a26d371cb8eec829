"""Whatever the APIs do, the tables are exact, nothing went over the limit, and the run was done in time."""

from __future__ import annotations

import json

from faults.choice import pairwise, uncovered
from faults.drawing import hits, seed_for, wanted
from faults.jobs import JOBS
from faults.kinds import RATES
from faults.matrix import CELLS, judged
from locus_stem.sandbox.options import RATE_FAULTS, TARGET_FAULTS, Fault
from support.results import FOLDER


def test_the_tables_are_exact_within_the_limit_and_in_time(cell, measures, record_property, pytestconfig):
    """In time only where the whole matrix runs: beside the rest of the suite the cores are shared."""
    result = judged(cell, measures, is_timed=pytestconfig.getoption("--faults") == "all")
    record_property("cell", result.row())
    assert result.problems == []


def test_every_fault_of_the_sandbox_is_in_the_matrix():
    assert {*RATE_FAULTS, *TARGET_FAULTS} <= {cell.kind.name for cell in CELLS}
    assert {cell.pipeline for cell in CELLS} == set(JOBS)
    assert len(set(map(str, CELLS))) == len(CELLS)


def test_the_results_that_are_shown_are_of_every_cell_and_every_one_is_exact():
    held = json.loads((FOLDER / "faults.json").read_text())
    rows = [dict(zip(held["columns"], row, strict=True)) for row in held["rows"]]
    rates = {f"{rate:.0%}": rate for rate in RATES} | {"always": None}
    shown = {(row["fault"], rates[row["rate"]], row["pipeline"]) for row in rows}
    assert shown == {(cell.kind.name, cell.rate, cell.pipeline) for cell in CELLS}
    assert {row["verdict"] for row in rows} == {"exact"}


def test_the_choice_has_every_fault_on_every_pipeline_and_both_rates_of_each():
    chosen = pairwise(CELLS)
    places = {(cell.kind.name, cell.pipeline) for cell in CELLS}
    assert len(chosen) == len(places)
    assert {(cell.kind.name, cell.pipeline) for cell in chosen} == places
    left = uncovered(chosen, CELLS)
    alone = {name for name, _ in places if len([one for one in places if one[0] == name]) == 1}
    assert {fault for (_, fault), _ in left} <= alone
    assert {cell.rate for cell in chosen} == {*RATES, None}


def test_a_seed_hits_as_many_requests_as_the_rate_says_and_never_none():
    requests = [("locus", f"GET /v3/sites/{number}") for number in range(14)]
    for rate, due in ((0.05, 1), (0.30, 4)):
        faults = (Fault("503", rate),)
        assert wanted(requests, *faults) == due
        assert hits(requests, faults, seed_for(requests, faults)) == {"503": due}
