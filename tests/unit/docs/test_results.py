from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from results import FOLDER, results

from support import results as written

DOCS = Path(__file__).parents[3] / "provider" / "docs"
GOOD = {
    "about": {"date": "2025-10-01", "python": "3.11.7", "airflow": "3.3.2"},
    "columns": ["fault", "rows"],
    "rows": [["429", 12]],
}


def shown(folder, held):
    text = held if isinstance(held, str) else json.dumps(held)
    (folder / "suite.json").write_text(text)
    return results("suite", folder)


def test_what_a_suite_writes_is_shown_facts_first_then_each_row(tmp_path, monkeypatch):
    monkeypatch.setattr(written, "BUILD", tmp_path)  # no page shows it
    rows = [["429", 0.05, 1200, True, None], ["cut_off", 1 / 3, 0, False, "- `W_avg`\n2. *"]]
    file = written.write_results(
        "suite", ["fault", "rate", "rows", "exact", "note"], rows, sites_asked=24, seconds=61.25
    )
    about = json.loads(file.read_text())["about"]
    text = results("suite", tmp_path)
    facts, table = text.split("\n\n", 1)
    assert facts == (
        f"Run on {about['date']}; Python {about['python']}; Airflow {about['airflow']}; "
        "sites asked: 24; seconds: 61.25."
    )
    cells = [line[4:].strip().removeprefix("-").strip() for line in table.splitlines()[4:]]
    assert cells[:5] == ["fault", "rate", "rows", "exact", "note"]
    assert cells[5:10] == [r"\ 429", r"\ 0.05", r"\ 1200", "yes", ""]
    assert cells[10:] == ["cut_off", r"\ 0.333333", r"\ 0", "no", r"\ - ``W_avg`` 2. \*"]


def test_a_suite_that_has_not_run_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"there is no suite\.json: run the suite"):
        results("suite", tmp_path)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ("{", "Expecting property name"),
        ('{"about": NaN}', "NaN is no JSON"),
        ([], "about, columns and rows"),
        ({**GOOD, "more": 1}, "nothing else"),
        ({**GOOD, "about": {"date": "2025-10-01"}}, "date, python, airflow"),
        ({**GOOD, "about": {**GOOD["about"], "date": "yesterday"}}, "Invalid isoformat string"),
        ({**GOOD, "about": {**GOOD["about"], "sites": []}}, "more than text and numbers"),
        ({**GOOD, "columns": ["fault", "fault"]}, "each once"),
        ({**GOOD, "columns": []}, "list of headings"),
        ({**GOOD, "rows": []}, "one at least"),
        ({**GOOD, "rows": [["429", 1], ["503"]]}, "row 2 has 1 values for 2 columns"),
        ({**GOOD, "rows": [["429", {}]]}, "row 1 holds more than text"),
    ],
)
def test_a_file_that_is_not_as_suites_write_it_is_named_with_what_is_wrong(tmp_path, held, words):
    assert "429" in shown(tmp_path, GOOD)
    with pytest.raises(ValueError, match=rf"(?s)suite\.json is no results file: .*{re.escape(words)}"):
        shown(tmp_path, held)


def test_every_results_file_stands_on_a_page_once():
    pages = "\n".join(page.read_text() for page in DOCS.rglob("*.rst"))
    named = re.findall(r"^ *\.\. results:: (\w+)$", pages, re.MULTILINE)
    assert sorted(named) == sorted(path.stem for path in FOLDER.glob("*.json"))


def test_every_kill_has_its_line():
    options = ["--collect-only", "--quiet", "--no-cov", "--numprocesses=0"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests/kills"],
        cwd=DOCS.parents[1],
        env={name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_"))},
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        timeout=300,
    )
    tests = [line for line in done.stdout.splitlines() if line.startswith("tests/kills/")]
    held = json.loads((FOLDER / "kills.json").read_text())
    assert len(held["rows"]) == len(tests) > 20
    tables = held["columns"].index("tables")
    assert {row[tables] for row in held["rows"]} == {"exact"}


def test_runs_at_once_have_kept_to_the_limit_and_the_alert_sync_came_in_time():
    figures = dict(json.loads((FOLDER / "concurrent.json").read_text())["rows"])
    waits = [seconds for figure, seconds in figures.items() if figure.startswith("alert sync ")]
    assert len(waits) == 3
    assert max(waits) < 180
    assert figures["most in flight"] == 1
    assert figures["of them 429"] == figures["values that differ from the API's"] == 0


def test_untrusted_answers_took_less_memory_than_they_may():
    held = json.loads((FOLDER / "untrusted.json").read_text())
    most = held["columns"].index(next(name for name in held["columns"] if "MB" in name))
    assert max(row[most] for row in held["rows"]) < 600
