from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import columns
import facts
import pytest
from markup import inline

from locus_stem.api import LOCUS_ENDPOINTS, STEM_ENDPOINTS
from locus_stem.api import errors as errors_module
from locus_stem.dags import LocusAccount, StemAccount, account_dags
from locus_stem.tables import schemas

DOCS = Path(__file__).parents[3] / "provider" / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text() for path in DOCS.rglob("*.rst")}
SPECS = {name: spec for name, spec in schemas.SPECS.items() if not name.startswith("_")}
DAGS = account_dags(LocusAccount(), StemAccount())


def used(page, fact):
    return Counter(re.findall(rf"^\.\. fact:: {fact} (\w+)$", PAGES[page], re.MULTILINE))


def test_every_table_has_its_section_on_the_page_of_tables_once():
    assert used("tables.rst", "table") == Counter(list(SPECS))


def test_every_dag_has_its_section_on_the_page_of_dags_once():
    assert used("dags.rst", "dag") == Counter(dag.dag_id for dag in DAGS)


def test_every_fact_stands_on_some_page():
    names = re.findall(r"^\.\. fact:: (\w+)", "\n".join(PAGES.values()), re.MULTILINE)
    assert set(names) == set(facts.FACTS)


@pytest.mark.parametrize("name", SPECS)
def test_a_tables_section_names_each_column_with_its_type_and_meaning(name):
    text = f"{facts.table(name)}\n"
    for column, kind in SPECS[name].columns.items():
        row = re.search(rf"\* - ``{column}``\n     - ``(.+)``\n     -( .+)?\n     - (.+)\n", text)
        assert row, column
        assert row[1].split("[")[0].replace("float64", "double") in str(kind).replace("item: ", "")
        assert row[3] == inline(columns.meaning(name, column))


def test_only_columns_that_there_are_have_a_meaning():
    known = {
        name
        for spec in SPECS.values()
        for column in spec.columns
        for name in (column, f"{spec.name}.{column}")
    }
    assert set(columns.COLUMNS) - known == set()


def test_a_column_without_a_meaning_is_named():
    with pytest.raises(KeyError, match=r"runs.colour has no meaning"):
        columns.meaning("runs", "colour")


def test_instants_say_that_they_are_utc_and_measures_have_units():
    for spec in SPECS.values():
        for column, kind in spec.columns.items():
            if str(kind).startswith("timestamp"):
                assert "UTC" in columns.meaning(spec.name, column), f"{spec.name}.{column}"
    assert "kW" in columns.meaning("stem_streams", "kw_total_avg")
    assert columns.meaning("stem_streams", "resolution").startswith("s,")
    assert columns.meaning("runs", "api_seconds").startswith("s ")
    assert "degrees" in columns.meaning("locus_sites", "latitude")


@pytest.mark.parametrize("dag", DAGS, ids=lambda dag: dag.dag_id)
def test_a_dags_section_has_its_schedule_and_describes_each_param(dag):
    text = f"{facts.dag(dag.dag_id)}\n"
    assert dag.timetable.summary in text
    for name in dag.params:
        param = dag.params.get_param(name)
        row = re.search(rf"\* - ``{name}``\n     - ``(.+)``\n     - (.+)\n     - (.+)\n", text)
        assert row, name
        assert row[3] == inline(param.description)
        for choice in param.schema.get("enum") or ():
            assert f"``{choice}``" in row[2]


@pytest.mark.parametrize(
    ("vendor", "hook", "operator", "described"),
    [
        ("locus", "LocusHook", "LocusEndpointOperator", LOCUS_ENDPOINTS),
        ("stem", "StemHook", "StemEndpointOperator", STEM_ENDPOINTS),
    ],
)
def test_every_endpoint_stands_in_its_table_once_with_hook_method_and_operator(
    vendor, hook, operator, described
):
    text = facts.endpoints(vendor)
    assert f"- Method of ``{hook}``\n" in text
    for endpoint in described:
        row = (
            f"   * - ``GET {endpoint.path}``\n     - {inline(endpoint.summary)}\n"
            f'     - ``{endpoint.name}``\n     - ``{operator}`` ``endpoint="{endpoint.name}"``\n'
        )
        assert text.count(row) == 1
    assert text.count("``GET ") == len(described)
    arguments = facts.arguments(vendor)
    for param in (param for endpoint in described for param in endpoint.params):
        assert f"``{param.argument}``" in arguments
        assert inline(param.summary) in arguments


def test_every_error_is_in_the_tree_and_described():
    tree, classes = facts.errors(), facts.error_classes()
    for name, found in vars(errors_module).items():
        if isinstance(found, type) and issubclass(found, errors_module.LocusStemError):
            assert re.search(rf"\b{name}\b", tree)
            assert f"errors.{name}\n" in classes


def test_the_changelog_is_the_projects_own():
    page = facts.changelog()
    for line in (DOCS.parents[1] / "CHANGELOG.md").read_text().splitlines():
        if line.startswith("- "):
            assert inline(line) in page
    assert "#" not in page


def test_of_a_text_code_is_kept_and_nothing_else_is_markup():
    assert inline("a `b_c` d_ *e* f_g") == r"a ``b_c`` d\_ \*e\* f_g"
