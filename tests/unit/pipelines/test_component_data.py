from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from locus_stem.api.errors import MalformedAnswerError, PermissionDeniedError
from locus_stem.operators.component_data import _id_of
from locus_stem.pipelines.component_data import (
    Asked,
    data_of_components,
    lifetime_energy,
    measuring_components,
)
from locus_stem.planning.params import ParamError

ASKED = Asked("hourly", "2025-10-26T00:00:00", "2025-10-26T23:59:59", "Europe/Berlin", ("Wh_sum", "Wh_m_sum"))
ENERGY = {
    "source": "Measured",
    "granularities": ["hourly"],
    "aggregations": [{"shortName": "Wh_sum"}],
}
MODELED = {
    "source": "Modeled",
    "granularities": ["hourly"],
    "aggregations": [{"shortName": "Wh_m_sum"}],
    "fieldParameters": [{"param": "modelType", "values": ["a", "b"]}],
}
BARE = {"source": "Measured", "granularities": ["hourly"]}


class Api:
    """Answers with the rows of each field; components below 10 are refused."""

    def __init__(self, *available, rows):
        self.available, self.rows, self.calls = available, rows, []

    def get_component_dataavailable(self, component_id):
        if component_id < 10:
            raise PermissionDeniedError("no", path=f"/{component_id}", status=403)
        return self.available

    def call(self, call):
        self.calls.append(call)
        component_id = call.arguments["component_id"]
        if component_id > 90:
            raise PermissionDeniedError("no", path=f"/{component_id}", status=403)
        return [
            {"id": component_id, "ts": ts, **dict.fromkeys(call.arguments["fields"], 1.0)}
            for ts in self.rows[call.arguments["fields"]]
        ]


def test_fields_that_need_parameters_are_asked_apart_and_put_into_the_same_rows_in_time_order():
    repeated = ["2025-10-26T02:00:00+02:00", "2025-10-26T02:00:00+01:00"]
    first, last = "2025-10-26T01:00:00+02:00", "2025-10-26T03:00:00+01:00"
    api = Api(ENERGY, BARE, MODELED, rows={("Wh_sum",): [*repeated, last], ("Wh_m_sum",): [first, *repeated]})
    rows = data_of_components(api, [10], ASKED)
    assert [call.arguments.get("field_parameters") for call in api.calls] == [None, (("modelType", "a"),)]
    assert [row["ts"] for row in rows] == [first, *repeated, last]
    assert [sorted(row.keys() - {"id", "ts"}) for row in rows] == [
        ["Wh_m_sum"],
        ["Wh_m_sum", "Wh_sum"],
        ["Wh_m_sum", "Wh_sum"],
        ["Wh_sum"],
    ]


def test_refused_components_are_left_out_unless_all_are(caplog):
    api = Api(ENERGY, rows={("Wh_sum",): ["2025-10-26T01:00:00+02:00"]})
    wanted = Asked("hourly", ASKED.start, ASKED.end, ASKED.tz, None)
    assert [row["id"] for row in data_of_components(api, [1, 10, 99], wanted)] == [10]
    assert "Component 1 is left out" in caplog.text
    assert "Component 99 is left out" in caplog.text
    with pytest.raises(PermissionDeniedError):
        data_of_components(api, [1, 99], wanted)


def test_no_component_is_no_row_and_a_field_that_none_has_is_refused():
    api = Api(ENERGY, rows={})
    assert data_of_components(api, [], ASKED) == []
    with pytest.raises(ParamError, match="Wh_m_sum"):
        data_of_components(api, [10], ASKED)


class Years(Api):
    """Answers with rows as they are."""

    def __init__(self, *rows):
        super().__init__({**ENERGY, "granularities": ["yearly", "s3cret\n[ERROR] forged"]}, rows=rows)

    def call(self, call):
        return list(self.rows)

    def get_site_components(self, site_id):
        return list(self.rows)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"id": 10, "Wh_sum": 1.0}], "a data row has the ts nothing"),
        ([{"id": 10, "ts": "s3cret", "Wh_sum": 1.0}], "has the ts text of 6 character"),
        ([{"id": 10, "ts": "2024-01-01T00:00:00Z", "Wh_sum": "1"}], "holds str"),
        (
            [{"id": 10, "ts": f"{year}-01-01T00:00:00Z", "Wh_sum": 1e308} for year in (2023, 2024)],
            "add up to more",
        ),
    ],
)
def test_years_that_cannot_be_added_up_are_a_malformed_answer(rows, words):
    now = datetime(2025, 1, 1, tzinfo=UTC)
    with pytest.raises(MalformedAnswerError, match=words):
        lifetime_energy(Years(*rows), 10, now=now, tz="UTC", start="2000-01-01T00:00:00", field="Wh_sum")


def test_of_the_granularities_that_a_field_has_only_those_that_there_are_are_named():
    with pytest.raises(ParamError, match="only available at latest, yearly, not at hourly"):
        data_of_components(Years(), [10], ASKED)


@pytest.mark.parametrize("given", [None, 0, -1, 10**18, "7", 7.0, True])
def test_a_component_is_listed_with_an_id_by_which_it_can_be_asked_for(given):
    with pytest.raises(MalformedAnswerError, match="is listed with the id"):
        measuring_components(Years({"id": given}), 1)
    assert measuring_components(Years({"id": 10**18 - 1}), 1) == [10**18 - 1]


@pytest.mark.parametrize(
    "listed", [{"name": "x"}, {"id": 0}, {"id": 10**18}, {"id": "../x"}, {"id": "٣"}, {"id": True}]
)
def test_a_site_without_a_usable_id_is_left_out_of_the_mapping(listed):
    with pytest.raises(AirflowSkipException, match="without a usable id"):
        _id_of(listed)
    assert _id_of({"id": 3000001}) == 3000001
